//! Calls of AWS' JSON protocol, with Signature Version 4 and the credentials that the evidence store would find.

use std::{fmt, sync::Arc};

use axum::http::Request;
use object_store::{
    StaticCredentialProvider,
    aws::{AmazonS3Builder, AwsAuthorizer, AwsCredential, AwsCredentialProvider},
    client::HttpRequestBody,
};
use reqwest::{Client, Url, header::CONTENT_TYPE};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use zeroize::Zeroizing;

use super::{WalletError, web};

/// Credentials of AWS as a Secret holds them. Never printed.
pub struct AwsKeys {
    /// `AWS_ACCESS_KEY_ID`.
    pub id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret: Zeroizing<String>,
    /// `AWS_SESSION_TOKEN`, of credentials that expire.
    pub token: Option<Zeroizing<String>>,
}

impl fmt::Debug for AwsKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AwsKeys({})", self.id)
    }
}

/// One service of AWS in one region.
pub(super) struct Service {
    http: Client,
    /// As in the scope of a signature: `kms`.
    name: &'static str,
    region: String,
    endpoint: Url,
    credentials: AwsCredentialProvider,
    /// Who is called, for people.
    label: String,
}

impl Service {
    /// Credentials that are not given come from the environment, a web identity, the container or the instance, in this
    /// order.
    pub(super) fn new(
        name: &'static str,
        region: String,
        endpoint: Url,
        keys: Option<AwsKeys>,
        label: String,
    ) -> Result<Self, WalletError> {
        let cannot = |why: String| WalletError::Unavailable { signer: label.clone(), why };
        let http = web::client().map_err(|error| cannot(web::cause(&error)))?;
        let credentials = if let Some(AwsKeys { id, secret, token }) = keys {
            let (secret_key, token) = (secret.to_string(), token.map(|token| token.to_string()));
            Arc::new(StaticCredentialProvider::new(AwsCredential { key_id: id, secret_key, token }))
        } else {
            // Only the store's credentials are used: there is no bucket.
            let store = AmazonS3Builder::from_env().with_bucket_name("none").with_region(&region).build();
            Arc::clone(store.map_err(|error| cannot(no_credentials(&error)))?.credentials())
        };
        Ok(Self { http, name, region, endpoint, credentials, label })
    }

    /// Calls an operation (`x-amz-target`).
    ///
    /// # Errors
    /// [`WalletError::Unavailable`] without an answer, and where the service says that it can't now;
    /// [`WalletError::Refused`] where it says no; [`WalletError::Mismatch`] where its answer can't be read.
    pub(super) async fn call<A: DeserializeOwned>(
        &self,
        target: &'static str,
        request: &Value,
    ) -> Result<A, WalletError> {
        let answered = tokio::time::timeout(web::TIMEOUT, self.ask(target, request.to_string())).await;
        let (status, body) = answered
            .unwrap_or_else(|_| Err(format!("no answer within {} s", web::TIMEOUT.as_secs())))
            .map_err(|why| WalletError::Unavailable { signer: self.label.clone(), why })?;
        if status != 200 {
            return Err(refusal(&self.label, status, &body));
        }
        serde_json::from_slice(&body).map_err(|_| WalletError::Mismatch {
            signer: self.label.clone(),
            why: format!("the answer to {target} can't be read"),
        })
    }

    async fn ask(&self, target: &'static str, body: String) -> Result<(u16, Vec<u8>), String> {
        let credential = self.credentials.get_credential().await.map_err(|error| no_credentials(&error))?;
        // What can't stand in a header stops the library's signing half way.
        let parts = [Some(&credential.key_id), credential.token.as_ref(), Some(&self.region)];
        if !parts.into_iter().flatten().all(|part| part.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err("the AWS credentials or the region hold white space or what is not ASCII".to_owned());
        }
        let mut request = Request::post(self.endpoint.as_str())
            .header(CONTENT_TYPE, "application/x-amz-json-1.1")
            .header("x-amz-target", target)
            .body(HttpRequestBody::from(body.clone()))
            .map_err(|error| error.to_string())?;
        AwsAuthorizer::new(&credential, self.name, &self.region)
            .try_authorize(&mut request, None)
            .map_err(|error| web::cause(&error))?;
        let headers = request.headers().clone();
        let sent = self.http.post(self.endpoint.clone()).headers(headers).body(body).send().await;
        let response = sent.map_err(|error| web::cause(&error))?;
        let status = response.status().as_u16();
        Ok((status, web::body(response).await?))
    }
}

fn no_credentials(error: &object_store::Error) -> String {
    format!("there are no AWS credentials: {}", web::cause(error))
}

/// An error of AWS' JSON protocol.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    #[serde(rename = "__type")]
    kind: String,
    #[serde(alias = "Message")]
    message: String,
}

fn refusal(label: &str, status: u16, body: &[u8]) -> WalletError {
    let problem: Problem = serde_json::from_slice(body).unwrap_or_default();
    // Some services put a namespace before it: `com.amazonaws.kms#NotFoundException`.
    let kind = problem.kind.rsplit('#').next().unwrap_or_default();
    let why = web::words(format!("{status} {kind} {}", problem.message).trim_end());
    let signer = label.to_owned();
    if status >= 500 || status == 429 || kind == "ThrottlingException" {
        WalletError::Unavailable { signer, why }
    } else {
        WalletError::Refused { signer, why }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_aws_is_told_with_its_kind_and_as_later_or_no() {
        for (status, body, later, words) in [
            (
                400,
                r#"{"__type":"AccessDeniedException","Message":"not authorized"}"#,
                false,
                "400 AccessDeniedException not authorized",
            ),
            (400, r#"{"__type":"a.b#NotFoundException","message":"no key"}"#, false, "400 NotFoundException no key"),
            (
                400,
                r#"{"__type":"DisabledException","message":"is disabled"}"#,
                false,
                "400 DisabledException is disabled",
            ),
            (400, r#"{"__type":"ThrottlingException"}"#, true, "400 ThrottlingException"),
            (500, r#"{"__type":"KMSInternalException"}"#, true, "500 KMSInternalException"),
            (503, "<html>", true, "503"),
            (403, "<html>", false, "403"),
        ] {
            let (signer, why) = ("kms".to_owned(), words.to_owned());
            let expected =
                if later { WalletError::Unavailable { signer, why } } else { WalletError::Refused { signer, why } };
            assert_eq!(refusal("kms", status, body.as_bytes()), expected);
        }
    }

    #[test]
    fn credentials_are_not_printed() {
        let keys = AwsKeys {
            id: "AKIDEXAMPLE".to_owned(),
            secret: Zeroizing::new("very-secret".to_owned()),
            token: Some(Zeroizing::new("session-secret".to_owned())),
        };
        assert_eq!(format!("{keys:?}"), "AwsKeys(AKIDEXAMPLE)");
    }
}
