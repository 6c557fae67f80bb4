//! Listens, speaks TLS and gRPC, and bounds what each connection may cost, from its first byte on.

use std::{net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use hawser_proto::attestation::{
    OperatorMessage, SidecarMessage,
    attestation_server::{Attestation, AttestationServer},
};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{
    Request, Response, Status, Streaming,
    transport::{Identity, Server, ServerTlsConfig, server::TlsConnectInfo},
};

use super::{
    conversation::Conversation,
    incoming::incoming,
    pre_auth::Guard,
    registry::Attestations,
    review::{InTurn, TokenReviewer},
};

/// Longest message that is read: a line of evidence, or a token, and some.
const MAX_MESSAGE_BYTES: usize = hawser_attestation::MAX_LINE_BYTES + 4096;
/// A sidecar has one stream on a connection, and another connection for the next.
const STREAMS_PER_CONNECTION: u32 = 1;
/// What a connection may send before it is read, in bytes: each that is open may cost so much memory.
const WINDOW: u32 = 128 * 1024;
/// A connection stays open for so long after its stream: what was said last still has to get out, and whoever was
/// refused keeps the seat meanwhile.
const LINGER: Duration = Duration::from_secs(1);

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
    let listener =
        crate::listen::listen(listen).await.map_err(|error| ServeError::Listen { address: listen, error })?;
    serve_on(attestations, listener, tls, reviewer, cancel).await
}

/// The same, and anew with another certificate whenever `renew`, asked each time that `every` has passed, has one in
/// place of the present. Sidecars come back by themselves.
pub async fn serve_renewed<R, F>(
    attestations: Attestations,
    listen: SocketAddr,
    mut tls: TlsPem,
    reviewer: R,
    every: Duration,
    renew: impl Fn(TlsPem) -> F,
    cancel: CancellationToken,
) -> Result<(), ServeError>
where
    R: TokenReviewer + Clone,
    F: Future<Output = Option<TlsPem>>,
{
    loop {
        let present = cancel.child_token();
        let serving = serve(attestations.clone(), listen, tls.clone(), reviewer.clone(), present.clone());
        let mut serving = pin!(serving);
        let renewed = async {
            loop {
                tokio::time::sleep(every).await;
                if let Some(next) = renew(tls.clone()).await {
                    return next;
                }
            }
        };
        let next = tokio::select! {
            served = &mut serving => return served,
            next = renewed => next,
        };
        present.cancel();
        serving.await?;
        tls = next;
    }
}

/// The same as [`serve`] on a socket that listens already.
pub async fn serve_on(
    attestations: Attestations,
    listener: TcpListener,
    tls: TlsPem,
    reviewer: impl TokenReviewer,
    cancel: CancellationToken,
) -> Result<(), ServeError> {
    attestations.pass_by(&tls.key);
    let tls =
        ServerTlsConfig::new().identity(Identity::from_pem(tls.certificate, tls.key)).timeout(Duration::from_secs(5));
    let incoming = incoming(listener, attestations.clone(), cancel.clone());
    let service = Service { attestations, reviewer: Arc::new(InTurn::new(reviewer)) };
    Server::builder()
        .tls_config(tls)?
        .max_concurrent_streams(STREAMS_PER_CONNECTION)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .http2_keepalive_interval(Some(Duration::from_secs(20)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
        .http2_max_header_list_size(8 * 1024)
        .add_service(AttestationServer::new(service).max_decoding_message_size(MAX_MESSAGE_BYTES))
        .serve_with_incoming_shutdown(incoming, cancel.cancelled_owned())
        .await?;
    Ok(())
}

struct Service<R> {
    attestations: Attestations,
    reviewer: Arc<InTurn<R>>,
}

#[tonic::async_trait]
impl<R: TokenReviewer> Attestation for Service<R> {
    type AttestStream = ReceiverStream<Result<OperatorMessage, Status>>;

    async fn attest(
        &self,
        request: Request<Streaming<SidecarMessage>>,
    ) -> Result<Response<Self::AttestStream>, Status> {
        let guard = request.extensions().get::<TlsConnectInfo<Guard>>().map(|info| info.get_ref().clone());
        let guard = guard.ok_or_else(|| Status::internal("a stream without a connection"))?;
        if !guard.begin() {
            return Err(Status::resource_exhausted("a connection has one stream: open another connection"));
        }
        let (sender, receiver) = mpsc::channel(32);
        let (attestations, reviewer) = (self.attestations.clone(), Arc::clone(&self.reviewer));
        let conversation = Conversation::new(attestations, reviewer, request.into_inner(), sender, guard.clone());
        tokio::spawn(async move {
            // Ends with the operator too: an open stream must not hold up its shutdown.
            let over = guard.over();
            if over.run_until_cancelled(conversation.run()).await.is_some() {
                over.run_until_cancelled(tokio::time::sleep(LINGER)).await;
            }
            over.cancel();
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}
