//! A TCP relay in front of a server, which does what networks do on a bad day.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What is wrong with the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Way {
    /// Nothing.
    #[default]
    Open,
    /// Connections are taken, and nothing moves on any.
    Hung,
    /// Connections are cut, new ones too.
    Cut,
    /// Each portion of bytes waits for this long.
    Slow(Duration),
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    way: Way,
    /// Connections with a lower number never move again.
    frozen: u64,
}

impl State {
    fn moves(&self, connection: u64) -> bool {
        self.way != Way::Hung && connection >= self.frozen
    }
}

/// Relays until it is dropped.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    state: watch::Sender<State>,
    /// How many connections there were.
    connections: watch::Receiver<u64>,
    listener: JoinHandle<()>,
}

impl Relay {
    /// Listens on this machine's loopback before the server at `server`.
    ///
    /// # Errors
    /// When there is no free port.
    pub async fn start(server: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("there is no free port")?;
        let address = listener.local_addr()?;
        let state = watch::Sender::new(State::default());
        let (count, connections) = watch::channel(0);
        let listener = tokio::spawn(listen(listener, server, state.clone(), count));
        Ok(Self { address, state, connections, listener })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections that are open now never move again, and nobody notices: their peer acknowledges, or is gone. New ones are
    /// as good as ever.
    pub fn freeze(&self) {
        let frozen = *self.connections.borrow();
        self.state.send_modify(|state| state.frozen = frozen);
    }

    /// From now on nothing moves, on old connections and on new ones.
    pub fn hang(&self) {
        self.set(Way::Hung);
    }

    /// Cuts all connections, and new ones too.
    pub fn cut(&self) {
        self.set(Way::Cut);
    }

    /// Each portion of bytes waits for this long.
    pub fn slow(&self, by: Duration) {
        self.set(Way::Slow(by));
    }

    /// All is well again. What was held moves on; what was frozen does not.
    pub fn heal(&self) {
        self.set(Way::Open);
    }

    fn set(&self, way: Way) {
        self.state.send_modify(|state| state.way = way);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.listener.abort();
        // Connections end with the relay.
        self.cut();
    }
}

async fn listen(listener: TcpListener, server: SocketAddr, state: watch::Sender<State>, count: watch::Sender<u64>) {
    while let Ok((client, _)) = listener.accept().await {
        let number = *count.borrow();
        count.send_modify(|count| *count += 1);
        let mut cut = state.subscribe();
        let relayed = relay(client, server, number, state.subscribe());
        tokio::spawn(async move {
            tokio::select! {
                _ = relayed => {}
                _ = cut.wait_for(|state| state.way == Way::Cut) => {}
            }
        });
    }
}

async fn relay(client: TcpStream, server: SocketAddr, number: u64, mut state: watch::Receiver<State>) -> Result<()> {
    state.wait_for(|state| state.moves(number)).await?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = TcpStream::connect(server).await?.into_split();
    let there = pump(from_client, to_server, number, state.clone());
    let back = pump(from_server, to_client, number, state);
    tokio::try_join!(there, back).map(drop)
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    number: u64,
    mut state: watch::Receiver<State>,
) -> Result<()> {
    let mut portion = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut portion).await;
        // Not even the end of a connection comes through while nothing moves.
        let way = state.wait_for(|state| state.moves(number)).await?.way;
        if let Way::Slow(by) = way {
            tokio::time::sleep(by).await;
        }
        match read? {
            0 => return Ok(to.shutdown().await?),
            read => to.write_all(&portion[..read]).await?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says back what it hears.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (mut read, mut write) = stream.into_split();
                tokio::spawn(async move { tokio::io::copy(&mut read, &mut write).await });
            }
        });
        address
    }

    async fn answers(stream: &mut TcpStream) -> bool {
        let mut heard = [0];
        let exchange = async {
            stream.write_all(b"x").await?;
            stream.read_exact(&mut heard).await
        };
        matches!(tokio::time::timeout(Duration::from_millis(300), exchange).await, Ok(Ok(_)))
    }

    #[tokio::test]
    async fn frozen_connections_stay_so_and_new_ones_are_good() {
        let relay = Relay::start(echo().await).await.unwrap();
        let mut old = TcpStream::connect(relay.address()).await.unwrap();
        assert!(answers(&mut old).await);
        relay.freeze();
        assert!(!answers(&mut old).await);
        relay.heal();
        assert!(!answers(&mut old).await);
        assert!(answers(&mut TcpStream::connect(relay.address()).await.unwrap()).await);
    }

    #[tokio::test]
    async fn what_hung_goes_on_and_what_was_cut_is_over() {
        let relay = Relay::start(echo().await).await.unwrap();
        let mut open = TcpStream::connect(relay.address()).await.unwrap();
        assert!(answers(&mut open).await);
        relay.hang();
        let mut late = TcpStream::connect(relay.address()).await.unwrap();
        assert!(!answers(&mut open).await && !answers(&mut late).await);
        relay.heal();
        assert!(answers(&mut open).await && answers(&mut late).await);
        relay.cut();
        assert!(!answers(&mut open).await);
        relay.heal();
        assert!(!answers(&mut open).await);
    }
}
