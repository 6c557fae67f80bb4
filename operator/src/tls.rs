//! The attestation service's certificates: a CA of its own and a serving certificate, kept in a Secret, so that every
//! replica serves by the same CA and a restart changes nothing.

use std::collections::BTreeMap;

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

/// Name of the Secret.
pub const SECRET: &str = "hawser-attestation-tls";
/// When the serving certificate ends.
const NOT_AFTER: &str = "hawser.dev/not-after";
/// Host that it is for.
const HOST: &str = "hawser.dev/host";
/// A serving certificate lives so long, and is renewed at a start in its second half.
const SERVING_DAYS: i64 = 365;
const RENEW_DAYS: i64 = 182;

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
    #[error("Secret {SECRET} has no {0}: delete it, it is made again (running jobs must enrol again)")]
    Incomplete(&'static str),
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
    if !is_due(stored.annotations(), host, now) {
        return Ok(Certificates { ca, certificate: part("tls.crt")?, key: part("tls.key")? });
    }
    let made = issue(&ca, &ca_key, host, now)?;
    let next = secret(&made, &ca_key, host, now, stored.resource_version());
    api.replace(SECRET, &PostParams::default(), &next).await?;
    info!(host, "renewed the attestation service's certificate");
    Ok(made)
}

fn is_due(annotations: &BTreeMap<String, String>, host: &str, now: Timestamp) -> bool {
    let ends: Option<Timestamp> = annotations.get(NOT_AFTER).and_then(|text| text.parse().ok());
    let left = ends.map(|ends| ends.duration_since(now));
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
    Ok(Certificates { ca: ca.to_owned(), certificate: certificate.pem(), key: key.serialize_pem() })
}

/// From yesterday, so that a clock that is a little behind takes it, until [`SERVING_DAYS`] from now.
fn validity(now: Timestamp) -> Result<(OffsetDateTime, OffsetDateTime), rcgen::Error> {
    let at = |days: i64| {
        OffsetDateTime::from_unix_timestamp(now.as_second() + days * 24 * 3600).map_err(|_| rcgen::Error::Time)
    };
    Ok((at(-1)?, at(SERVING_DAYS)?))
}

fn secret(made: &Certificates, ca_key: &str, host: &str, now: Timestamp, version: Option<String>) -> Secret {
    let ends = now.checked_add(SignedDuration::from_hours(24 * SERVING_DAYS)).unwrap_or(now);
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
    fn a_certificate_is_renewed_in_its_second_half_and_for_another_host() {
        let now: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
        let annotations =
            |ends: &str| BTreeMap::from([(NOT_AFTER.to_owned(), ends.to_owned()), (HOST.to_owned(), "h".to_owned())]);
        assert!(!is_due(&annotations("2027-05-01T00:00:00Z"), "h", now));
        assert!(is_due(&annotations("2026-07-01T00:00:00Z"), "h", now));
        assert!(is_due(&annotations("2027-05-01T00:00:00Z"), "other", now));
        assert!(is_due(&annotations("nonsense"), "h", now));
    }
}
