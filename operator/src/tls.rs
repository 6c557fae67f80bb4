//! The attestation service's certificates: a CA of its own and a serving certificate, kept in a Secret, so that every
//! replica serves by the same CA and a restart changes nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client, ResourceExt};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use time::OffsetDateTime;
use tracing::info;

use crate::objects::CA_CONFIG_MAP;

/// Name of the Secret.
pub const SECRET: &str = "hawser-attestation-tls";
/// When the serving certificate ends.
const NOT_AFTER: &str = "hawser.dev/not-after";
/// Host that it is for.
const HOST: &str = "hawser.dev/host";
/// A serving certificate lives so long, and is renewed when less than a third of that is left.
const SERVING_DAYS: i64 = 365;
const RENEW_DAYS: i64 = SERVING_DAYS / 3;
/// How often to look at it while serving: [`renewed`].
pub const LOOK_EVERY: Duration = Duration::from_hours(24);

/// Why there are no certificates.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The Secret can't be read or written.
    #[error("Secret {SECRET}: {0}")]
    Kubernetes(#[from] kube::Error),
    /// A certificate can't be made.
    #[error("the attestation service's certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The Secret is not one of these.
    #[error(
        "Secret {SECRET} has no {0}: delete it. The operator creates it again when it starts, with another CA, and writes that into \
         the ConfigMap {CA_CONFIG_MAP} of each namespace with jobs; meters of running jobs reconnect once kubelet shows \
         it to them, after a minute or two"
    )]
    Incomplete(&'static str),
    /// The jobs' pods were given another CA.
    #[error("Secret {SECRET} holds another CA than the one that is served by")]
    OtherCa,
}

/// Certificates in PEM.
#[derive(Clone)]
pub struct Certificates {
    /// The CA that jobs get.
    pub ca: String,
    /// The service's own.
    pub certificate: String,
    /// Its key.
    pub key: String,
    /// When the certificate ends.
    pub ends: Timestamp,
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificates").field("ca", &self.ca).finish_non_exhaustive()
    }
}

/// Reads the certificates, making or renewing what is missing or old. Call it while leading.
///
/// # Errors
/// See [`TlsError`].
pub async fn ensure(client: Client, namespace: &str, host: &str) -> Result<Certificates, TlsError> {
    let api: Api<Secret> = Api::namespaced(client, namespace);
    let now = Timestamp::now();
    let Some(stored) = api.get_opt(SECRET).await? else {
        let Ca { key: ca_key, certificate: ca } = new_ca()?;
        let made = issue(&ca, &ca_key, host, now)?;
        api.create(&PostParams::default(), &secret(&made, &ca_key, host, now, None)).await?;
        info!(host, "made the attestation service's CA and certificate");
        return Ok(made);
    };
    let part = |name: &'static str| -> Result<String, TlsError> {
        let bytes = stored.data.as_ref().and_then(|data| data.get(name)).ok_or(TlsError::Incomplete(name))?;
        String::from_utf8(bytes.0.clone()).map_err(|_| TlsError::Incomplete(name))
    };
    let (ca, ca_key) = (part("ca.crt")?, part("ca.key")?);
    if let Some(ends) = ends(stored.annotations()).filter(|_| !is_due(stored.annotations(), host, now)) {
        return Ok(Certificates { ca, certificate: part("tls.crt")?, key: part("tls.key")?, ends });
    }
    let made = issue(&ca, &ca_key, host, now)?;
    let next = secret(&made, &ca_key, host, now, stored.resource_version());
    api.replace(SECRET, &PostParams::default(), &next).await?;
    info!(host, "renewed the attestation service's certificate");
    Ok(made)
}

/// The certificates in place of those that are served, renewed if it is time; `None`: they are the same.
///
/// # Errors
/// See [`TlsError`]. After [`TlsError::OtherCa`] start anew: everything that was made with the CA is out of date.
pub async fn renewed(
    client: Client,
    namespace: &str,
    host: &str,
    ca: &str,
    served: &str,
) -> Result<Option<Certificates>, TlsError> {
    let present = ensure(client, namespace, host).await?;
    if present.ca != ca {
        return Err(TlsError::OtherCa);
    }
    Ok((present.certificate != served).then_some(present))
}

fn ends(annotations: &BTreeMap<String, String>) -> Option<Timestamp> {
    annotations.get(NOT_AFTER)?.parse().ok()
}

fn is_due(annotations: &BTreeMap<String, String>, host: &str, now: Timestamp) -> bool {
    let left = ends(annotations).map(|ends| ends.duration_since(now));
    annotations.get(HOST).map(String::as_str) != Some(host)
        || left.is_none_or(|left| left < SignedDuration::from_hours(24 * RENEW_DAYS))
}

struct Ca {
    key: String,
    certificate: String,
}

fn new_ca() -> Result<Ca, rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Hawser attestation CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    params.not_after = date_time_ymd(2125, 1, 1);
    let certificate = params.self_signed(&key)?;
    Ok(Ca { key: key.serialize_pem(), certificate: certificate.pem() })
}

fn issue(ca: &str, ca_key: &str, host: &str, now: Timestamp) -> Result<Certificates, rcgen::Error> {
    let issuer = Issuer::from_ca_cert_pem(ca, KeyPair::from_pem(ca_key)?)?;
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(vec![host.to_owned()])?;
    params.distinguished_name.push(DnType::CommonName, "hawser-attestation");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    (params.not_before, params.not_after) = validity(now)?;
    let certificate = params.signed_by(&key, &issuer)?;
    let ends = last_day(now);
    Ok(Certificates { ca: ca.to_owned(), certificate: certificate.pem(), key: key.serialize_pem(), ends })
}

/// From yesterday, so that a clock that is a little behind takes it, until [`SERVING_DAYS`] from now.
fn validity(now: Timestamp) -> Result<(OffsetDateTime, OffsetDateTime), rcgen::Error> {
    let at = |days: i64| {
        OffsetDateTime::from_unix_timestamp(now.as_second() + days * 24 * 3600).map_err(|_| rcgen::Error::Time)
    };
    Ok((at(-1)?, at(SERVING_DAYS)?))
}

fn last_day(now: Timestamp) -> Timestamp {
    now.checked_add(SignedDuration::from_hours(24 * SERVING_DAYS)).unwrap_or(now)
}

fn secret(made: &Certificates, ca_key: &str, host: &str, now: Timestamp, version: Option<String>) -> Secret {
    let ends = last_day(now);
    let data =
        [("ca.crt", made.ca.as_str()), ("ca.key", ca_key), ("tls.crt", &made.certificate), ("tls.key", &made.key)];
    Secret {
        metadata: ObjectMeta {
            name: Some(SECRET.to_owned()),
            resource_version: version,
            annotations: Some([(NOT_AFTER.to_owned(), ends.to_string()), (HOST.to_owned(), host.to_owned())].into()),
            labels: Some([("app.kubernetes.io/managed-by".to_owned(), "hawser".to_owned())].into()),
            ..ObjectMeta::default()
        },
        data: Some(
            data.into_iter().map(|(name, pem)| (name.to_owned(), ByteString(pem.as_bytes().to_vec()))).collect(),
        ),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::{
        Router,
        http::StatusCode,
        routing::{self, post},
    };

    use super::*;

    #[test]
    fn a_serving_certificate_is_signed_by_the_ca_that_is_kept() {
        let ca = new_ca().unwrap();
        let first = issue(&ca.certificate, &ca.key, "hawser-attestation.ns.svc", Timestamp::now()).unwrap();
        let second = issue(&ca.certificate, &ca.key, "hawser-attestation.ns.svc", Timestamp::now()).unwrap();
        assert_eq!(first.ca, second.ca);
        assert_ne!(first.certificate, second.certificate);
    }

    #[test]
    fn a_secret_that_lacks_something_is_told_with_the_way_out_and_what_follows() {
        let said = TlsError::Incomplete("ca.key").to_string();
        for word in [SECRET, "ca.key", "delete it", "ConfigMap hawser-attestation-ca", "reconnect"] {
            assert!(said.contains(word), "{said} doesn't say {word:?}");
        }
    }

    #[test]
    fn a_certificate_is_renewed_in_its_last_third_and_for_another_host() {
        let now: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
        let annotations =
            |ends: &str| BTreeMap::from([(NOT_AFTER.to_owned(), ends.to_owned()), (HOST.to_owned(), "h".to_owned())]);
        assert!(!is_due(&annotations("2027-05-01T00:00:00Z"), "h", now));
        assert!(!is_due(&annotations("2026-10-15T00:00:00Z"), "h", now));
        assert!(is_due(&annotations("2026-09-15T00:00:00Z"), "h", now));
        assert!(is_due(&annotations("2027-05-01T00:00:00Z"), "other", now));
        assert!(is_due(&annotations("nonsense"), "h", now));
    }

    /// Stands in for the API server: holds one Secret.
    async fn client_of(secret: Arc<Mutex<Option<Secret>>>) -> Client {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (read, write) = (Arc::clone(&secret), secret);
        let put = move |body: String| async move {
            *write.lock().unwrap() = Some(serde_json::from_str(&body).unwrap());
            body
        };
        let get = move || async move {
            let found = read.lock().unwrap().as_ref().map(|secret| serde_json::to_string(secret).unwrap());
            found.ok_or((
                StatusCode::NOT_FOUND,
                r#"{"kind":"Status","status":"Failure","reason":"NotFound","code":404}"#,
            ))
        };
        let secrets = "/api/v1/namespaces/ns/secrets";
        let app = Router::new()
            .route(secrets, post(put.clone()))
            .route(&format!("{secrets}/{SECRET}"), routing::get(get).put(put));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Client::try_from(kube::Config::new(url.parse().unwrap())).unwrap()
    }

    #[tokio::test]
    async fn a_certificate_is_renewed_while_it_is_served_and_a_new_ca_is_no_renewal() {
        let stored = Arc::new(Mutex::new(None));
        let client = client_of(Arc::clone(&stored)).await;
        let first = ensure(client.clone(), "ns", "h").await.unwrap();
        let look =
            async |served: &Certificates| renewed(client.clone(), "ns", "h", &first.ca, &served.certificate).await;
        assert!(look(&first).await.unwrap().is_none());

        let soon = Timestamp::now() + SignedDuration::from_hours(24 * 100);
        stored.lock().unwrap().as_mut().unwrap().annotations_mut().insert(NOT_AFTER.to_owned(), soon.to_string());
        let second = look(&first).await.unwrap().expect("another certificate");
        assert_eq!(second.ca, first.ca);
        assert!(look(&second).await.unwrap().is_none());

        *stored.lock().unwrap() = None;
        assert!(matches!(look(&second).await, Err(TlsError::OtherCa)));
    }
}
