//! Connections as they come in: counted at accept, and closed when their visit is over.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures::{Stream, stream};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

use super::peers::{Peers, Visit};

/// Those whom the listener accepts and the service has a seat for.
pub(super) fn incoming(
    listener: TcpListener,
    service: CancellationToken,
) -> impl Stream<Item = io::Result<Connection>> + Send {
    stream::unfold((listener, Peers::default(), service), |state| async move {
        let (listener, peers, service) = &state;
        let connection = loop {
            match listener.accept().await {
                Ok((tcp, peer)) => {
                    if let Some(visit) = peers.admit(peer, service) {
                        break Connection::new(tcp, visit);
                    }
                    tracing::debug!(%peer, "no seat: too many connections that have proved nothing");
                }
                Err(error) => {
                    // Out of file descriptors, as a rule: others close theirs.
                    tracing::warn!(%error, "attestation service can't accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        };
        Some((Ok(connection), state))
    })
}

/// A connection that ends with its visit.
pub(super) struct Connection {
    tcp: TcpStream,
    over: Pin<Box<WaitForCancellationFutureOwned>>,
    visit: Visit,
}

impl Connection {
    fn new(tcp: TcpStream, visit: Visit) -> Self {
        // Each message is an answer that somebody waits for.
        let _ = tcp.set_nodelay(true);
        visit.show_out_in_time();
        let over = Box::pin(visit.over().clone().cancelled_owned());
        Self { tcp, over, visit }
    }

    fn poll_over(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.over.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionAborted.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = Visit;

    fn connect_info(&self) -> Visit {
        self.visit.clone()
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
