//! kube's own stack, over sockets that notice a peer that is gone and that let nothing out once the lease is lost.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::{Body, ClientBuilder, ConfigExt as _};
use kube::{Client, Config};
use tower::{BoxError, ServiceBuilder, ServiceExt as _};

use crate::fence::{Fence, NotLeading};

const CONNECT: Duration = Duration::from_secs(3);
/// A peer that acknowledges nothing for so long is gone.
const UNACKNOWLEDGED: Duration = Duration::from_secs(10);
/// A connection that nobody used for so long is closed.
const IDLE: Duration = Duration::from_secs(30);

/// A client with no connection yet.
pub(super) fn open(config: &Config, fence: Option<&Fence>) -> Result<Client, kube::Error> {
    if let Some(url) = &config.proxy_url {
        return Err(kube::Error::ProxyProtocolUnsupported { proxy_url: Box::new(url.clone()) });
    }
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT));
    tcp.set_keepalive(Some(UNACKNOWLEDGED / 2));
    tcp.set_keepalive_interval(Some(UNACKNOWLEDGED / 4));
    tcp.set_keepalive_retries(Some(2));
    #[cfg(target_os = "linux")]
    tcp.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
    let fence = fence.cloned();
    let fenced = tcp.map_response(move |io| Fenced { io, fence: fence.clone() });
    let tls = config.rustls_https_connector_with_connector(fenced)?;
    let http: legacy::Client<_, Body> =
        legacy::Client::builder(TokioExecutor::new()).pool_idle_timeout(IDLE).pool_timer(TokioTimer::new()).build(tls);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(http);
    Ok(ClientBuilder::new(service, config.default_namespace.clone()).build())
}

/// A socket that writes nothing any more once the lease is over: a request may have waited in this process since.
struct Fenced<T> {
    io: T,
    fence: Option<Fence>,
}

impl<T> Fenced<T> {
    fn check(&self) -> io::Result<()> {
        if self.fence.as_ref().is_some_and(Fence::is_over) { Err(io::Error::other(NotLeading)) } else { Ok(()) }
    }
}

impl<T: Read + Unpin> Read for Fenced<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<T: Write + Unpin> Write for Fenced<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }
}

impl<T: Connection> Connection for Fenced<T> {
    fn connected(&self) -> Connected {
        self.io.connected()
    }
}

#[cfg(test)]
mod tests {
    use hyper_util::rt::TokioIo;
    use std::future::poll_fn;
    use tokio::io::AsyncReadExt as _;

    use super::*;
    use crate::fence::Moment;

    #[tokio::test]
    async fn a_socket_lets_nothing_out_once_the_lease_is_over() {
        let fence = Fence::default();
        let (near, mut far) = tokio::io::duplex(64);
        let mut socket = Fenced { io: TokioIo::new(near), fence: Some(fence.clone()) };
        let mut write = async |text: &'static str| {
            poll_fn(|cx| Pin::new(&mut socket).poll_write(cx, text.as_bytes())).await.map_err(|error| error.to_string())
        };
        assert_eq!(write("reads of one that stands by").await, Ok(27));
        fence.extend(Moment::now().plus(Duration::from_mins(1)));
        assert_eq!(write("leads").await, Ok(5));
        fence.close();
        assert_eq!(write("too late").await, Err(NotLeading.to_string()));
        drop(socket);
        let mut heard = String::new();
        far.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "reads of one that stands byleads");
    }
}
