//! The serving certificate changes while the service runs.

use std::{net::SocketAddr, time::Duration};

use hawser_operator::attestation::{Attestations, EvidenceStore, TlsPem, serve_renewed};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use time::OffsetDateTime;
use tokio::{
    net::TcpListener,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::{fixture::FakeTokenReviewer, sidecar::connect, until::until};

const SHORT: Duration = Duration::from_secs(3);

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    fn certificate(&self, life: Duration) -> TlsPem {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_after = OffsetDateTime::now_utc() + life;
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        TlsPem { certificate, key: key.serialize_pem() }
    }
}

/// Serves by a certificate that ends soon, and by `next` from the first look on.
async fn serve(first: TlsPem, next: Option<TlsPem>) -> (String, CancellationToken) {
    let listen: SocketAddr = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let evidence = EvidenceStore::open(&format!("file://{}", directory.path().display()), "").unwrap();
    let cancel = CancellationToken::new();
    let renew = move |served: TlsPem| {
        let next = next.clone().filter(|next| next.certificate != served.certificate);
        async move { next }
    };
    let (attestations, every, until) = (Attestations::new(evidence), Duration::from_millis(500), cancel.clone());
    tokio::spawn(async move {
        let _directory = directory;
        let reviewer = FakeTokenReviewer::default();
        serve_renewed(attestations, listen, first, reviewer, every, renew, until).await.unwrap();
    });
    (format!("https://localhost:{}", listen.port()), cancel)
}

#[tokio::test(flavor = "multi_thread")]
async fn meters_connect_after_the_first_certificate_has_ended() {
    let authority = Authority::new();
    let first = authority.certificate(SHORT);
    let ends = Instant::now() + SHORT;
    let (renewed, cancel) = serve(first.clone(), Some(authority.certificate(Duration::from_hours(1)))).await;
    let (forgotten, _kept) = serve(first, None).await;
    until("the first certificate is taken", async || connect(&forgotten, &authority.pem).await).await;
    sleep_until(ends + Duration::from_secs(1)).await;
    assert!(connect(&forgotten, &authority.pem).await.is_none(), "nobody takes a certificate that has ended");
    assert!(connect(&renewed, &authority.pem).await.is_some());
    cancel.cancel();
}
