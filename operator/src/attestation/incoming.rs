//! Connections as they come in: asked for their first bytes, given a seat by what those are, and closed when their visit
//! is over.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures::{
    FutureExt, Stream, StreamExt,
    future::BoxFuture,
    stream::{self, FuturesUnordered},
};
use hawser_attestation::Knock;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

use super::{
    pre_auth::{Guard, Permit, PreAuthLimiter},
    registry::Attestations,
};

/// How long the first bytes may take.
const FIRST_BYTES: Duration = Duration::from_secs(3);

/// Accepts connections, and finds out who comes by which way.
struct Acceptor {
    listener: TcpListener,
    attestations: Attestations,
    peers: PreAuthLimiter,
    service: CancellationToken,
    /// Those who have said nothing yet.
    arriving: FuturesUnordered<BoxFuture<'static, Option<Arrived>>>,
}

/// Somebody who has said something: a pass, or the beginning of TLS.
struct Arrived {
    tcp: TcpStream,
    peer: SocketAddr,
    knock: Option<Knock>,
}

/// Those whom the listener accepts and the service has a seat for.
pub(super) fn incoming(
    listener: TcpListener,
    attestations: Attestations,
    service: CancellationToken,
) -> impl Stream<Item = io::Result<Connection>> + Send {
    let peers = PreAuthLimiter::new(attestations.measures().clone());
    let acceptor = Acceptor { listener, attestations, peers, service, arriving: FuturesUnordered::new() };
    stream::unfold(acceptor, |mut acceptor| async move {
        let connection = acceptor.next().await;
        Some((Ok(connection), acceptor))
    })
}

impl Acceptor {
    async fn next(&mut self) -> Connection {
        loop {
            tokio::select! {
                Some(arrived) = self.arriving.next() => {
                    if let Some(connection) = arrived.and_then(|arrived| self.admit(arrived)) {
                        return connection;
                    }
                }
                accepted = self.listener.accept() => match accepted {
                    Ok((tcp, peer)) => {
                        if let Some(permit) = self.peers.arrive(peer, &self.service) {
                            self.arriving.push(first_bytes(tcp, peer, permit).boxed());
                        }
                    }
                    Err(error) => {
                        // Out of file descriptors, as a rule: others close theirs.
                        tracing::warn!(%error, "attestation service can't accept a connection");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
            }
        }
    }

    fn admit(&self, arrived: Arrived) -> Option<Connection> {
        let Arrived { tcp, peer, knock } = arrived;
        let guard = match knock.filter(|knock| self.attestations.opens(knock)) {
            Some(knock) => Some(self.peers.admit_attestor(peer, &knock, &self.service)),
            None => self.peers.admit(peer, self.attestations.is_pod(peer.ip().to_canonical()), &self.service),
        };
        if guard.is_none() {
            tracing::debug!(%peer, "no seat: too many connections that have proved nothing");
        }
        guard.map(|guard| Connection::new(tcp, guard))
    }
}

/// Waits for what tells an attestor with a pass from others.
async fn first_bytes(mut tcp: TcpStream, peer: SocketAddr, permit: Permit) -> Option<Arrived> {
    let read = async {
        let mut first = [0];
        if tcp.peek(&mut first).await.ok()? == 0 {
            return None;
        }
        if first[0] != Knock::MAGIC[0] {
            return Some(None);
        }
        let mut knock = [0; Knock::BYTES];
        tcp.read_exact(&mut knock).await.ok()?;
        Some(Some(Knock::from_bytes(&knock)?))
    };
    let over = permit.over().clone();
    let knock = over.run_until_cancelled(timeout(FIRST_BYTES, read)).await?.ok()??;
    Some(Arrived { tcp, peer, knock })
}

/// A connection that ends with its time limit.
pub(super) struct Connection {
    tcp: TcpStream,
    over: Pin<Box<WaitForCancellationFutureOwned>>,
    guard: Guard,
}
impl Connection {
    fn new(tcp: TcpStream, guard: Guard) -> Self {
        // Each message is an answer that somebody waits for.
        let _ = tcp.set_nodelay(true);
        guard.show_out_in_time();
        let over = Box::pin(guard.over().clone().cancelled_owned());
        Self { tcp, over, guard }
    }

    fn poll_over(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.over.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionAborted.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = Guard;

    fn connect_info(&self) -> Guard {
        self.guard.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.poll_over(cx)?;
        Pin::new(&mut self.tcp).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_over(cx)?;
        Pin::new(&mut self.tcp).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
