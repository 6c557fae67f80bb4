//! A registry that never says no and never comes to an end: it answers each
//! request with a byte a second, for as long as it is there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use hawser_local::Cluster;
use hawser_local::network::HOST;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// More than comes in any test's time.
const LENGTH: usize = 100_000;

/// Serves until it is dropped, and then hangs up: who waits for its bytes waits no longer.
#[derive(Debug)]
pub struct SlowRegistry {
    port: u16,
    asked: Arc<AtomicBool>,
    server: JoinHandle<()>,
}

impl SlowRegistry {
    /// Listens on the machine's side of the cluster's network.
    ///
    /// # Errors
    /// When the cluster is not the local one, whose network has this address.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind((HOST, 0)).await.context("the local cluster's network is not there")?;
        let port = listener.local_addr()?.port();
        Cluster::attach()?.allow_plain_http(&format!("{HOST}:{port}"))?;
        let asked = Arc::new(AtomicBool::new(false));
        let server = tokio::spawn(serve(listener, asked.clone()));
        Ok(Self { port, asked, server })
    }

    /// An image that this registry claims to have.
    pub fn image(&self) -> String {
        format!("{HOST}:{}/drip/drip:latest", self.port)
    }

    /// Whether anybody asked for anything.
    pub fn was_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Drop for SlowRegistry {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, asked: Arc<AtomicBool>) {
    // All of them end with this task.
    let mut drips = JoinSet::new();
    while let Ok((connection, _)) = listener.accept().await {
        asked.store(true, Ordering::Relaxed);
        // A client that hangs up ends its own drip.
        drips.spawn(async move { _ = drip(connection).await });
    }
}

async fn drip(mut connection: TcpStream) -> std::io::Result<()> {
    let mut request = [0; 4096];
    if connection.read(&mut request).await? == 0 {
        return Ok(());
    }
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {LENGTH}\r\n\r\n");
    connection.write_all(head.as_bytes()).await?;
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    for _ in 0..LENGTH {
        seconds.tick().await;
        connection.write_all(b" ").await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[tokio::test]
    async fn it_drips_until_it_is_dropped_and_then_hangs_up() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(AtomicBool::new(false));
        let registry =
            SlowRegistry { port: address.port(), asked: asked.clone(), server: tokio::spawn(serve(listener, asked)) };
        let mut connection = TcpStream::connect(address).await.unwrap();
        connection.write_all(b"GET /v2/ HTTP/1.1\r\n\r\n").await.unwrap();
        let mut answer = [0; 15];
        connection.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
        assert!(registry.was_asked());
        drop(registry);
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(Duration::from_mins(1), connection.read_to_end(&mut rest));
        // In whatever way.
        _ = ended.await.unwrap();
    }
}
