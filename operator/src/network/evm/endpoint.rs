//! One endpoint: what it says, and what that says of it.

use std::sync::{Mutex, PoisonError};

use alloy::{
    rpc::client::RpcClient,
    transports::{RpcError, TransportError},
};
use reqwest::Url;

use crate::network::{Disconnected, NetworkError};

/// What is wrong with an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) reason: Disconnected,
    pub(super) message: String,
}

#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) client: RpcClient,
    /// Scheme, host and port. The rest of the URL can hold an API key.
    pub(super) label: String,
    /// None: checked and good so far.
    trouble: Mutex<Option<Trouble>>,
}

/// What an error of a request means.
pub(super) enum Judgement {
    Answer(NetworkError),
    Trouble(Trouble),
}

impl Endpoint {
    /// Not tried yet.
    pub(super) fn new(url: &Url, http: reqwest::Client) -> Self {
        let untried = Trouble { reason: Disconnected::Connecting, message: "not tried yet".to_owned() };
        Self {
            client: RpcClient::new_http_with_client(http, url.clone()),
            label: label(url),
            trouble: Mutex::new(Some(untried)),
        }
    }

    pub(super) fn trouble(&self) -> Option<Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_trouble(&self, trouble: Option<Trouble>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    pub(super) fn judge(&self, method: &'static str, error: TransportError) -> Judgement {
        match error {
            // Providers use the code of a rate limit for logs that are too many, too: there the range is halved.
            RpcError::ErrorResp(answer) if method == "eth_getLogs" || !answer.is_retry_err() => {
                Judgement::Answer(NetworkError::Answer {
                    endpoint: self.label.clone(),
                    method,
                    code: answer.code,
                    message: answer.message.to_string(),
                    revert: answer.as_revert_data(),
                })
            }
            RpcError::NullResp => Judgement::Answer(NetworkError::Malformed {
                endpoint: self.label.clone(),
                method,
                message: "null".to_owned(),
            }),
            error => Judgement::Trouble(Trouble {
                reason: Disconnected::Unreachable,
                message: format!("{method}: {}", words(&error)),
            }),
        }
    }
}

fn label(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// The error with its causes, short and without the URL (`reqwest` puts it into its message).
pub(super) fn words(error: &TransportError) -> String {
    const LONGEST: usize = 300;
    let mut words = match error {
        RpcError::DeserError { err, .. } => format!("the answer is not what was asked for: {err}"),
        error => {
            let mut cause: Option<&dyn std::error::Error> = Some(error);
            let mut last = String::new();
            while let Some(error) = cause {
                last = error.to_string();
                cause = error.source();
            }
            last
        }
    };
    if let Some((end, _)) = words.char_indices().nth(LONGEST) {
        words.truncate(end);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_shown_without_path_and_credentials() {
        let url = "https://user:word@rpc.example.org:8443/v2/key?token=1".parse().unwrap();
        assert_eq!(label(&url), "https://rpc.example.org:8443");
    }
}
