//! A connection to the operator: looked up on a thread that is there already, and announced with the pass where meter has
//! one.

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
    sync::Arc,
    time::Duration,
};

use hawser_attestation::Knock;
use hyper_util::rt::TokioIo;
use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};
use tonic::transport::Uri;

use super::worker::Worker;

/// How long one of several addresses may take.
const ONE_ADDRESS: Duration = Duration::from_secs(2);

/// Host and port; what the resolver says.
type Name = (String, u16);
type Addresses = io::Result<Vec<SocketAddr>>;

/// Finds the operator's addresses.
#[derive(Clone, Debug)]
pub(crate) struct Resolver(Arc<Worker<Name, Addresses>>);

impl Resolver {
    pub(crate) fn start() -> io::Result<Self> {
        let look = |(host, port): Name| Ok((host.as_str(), port).to_socket_addrs()?.collect());
        Ok(Self(Arc::new(Worker::start("resolver", look)?)))
    }

    async fn addresses(&self, host: &str, port: u16) -> Addresses {
        self.0.ask((host.to_owned(), port)).await.map_err(io::Error::other)?
    }
}

/// Connects to one of the operator's addresses.
pub(crate) async fn dial(resolver: Resolver, knock: Option<Knock>, uri: Uri) -> io::Result<TokioIo<TcpStream>> {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let mut failure = io::Error::new(io::ErrorKind::NotFound, format!("{host} has no address"));
    for address in resolver.addresses(host, uri.port_u16().unwrap_or(443)).await? {
        match timeout(ONE_ADDRESS, TcpStream::connect(address)).await {
            Ok(Ok(mut tcp)) => {
                tcp.set_nodelay(true)?;
                if let Some(knock) = knock {
                    tcp.write_all(&knock.to_bytes()).await?;
                }
                return Ok(TokioIo::new(tcp));
            }
            Ok(Err(error)) => failure = error,
            Err(_) => failure = io::Error::new(io::ErrorKind::TimedOut, format!("{address} does not answer")),
        }
    }
    Err(failure)
}
