//! An anvil of a test's own: its chain can be reorganised, held back and made dear without anybody else's hearing of it.

use std::net::IpAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;

use crate::node::Node;
use crate::wait;

/// Seconds between two blocks, like a rollup's.
const PERIOD: &str = "2";
/// Each has a chain id of its own, as chains have: what is signed for one is worth nothing on another.
static NEXT_CHAIN: AtomicU64 = AtomicU64::new(31_338);

/// A node with a chain of its own, until it is dropped.
#[derive(Debug)]
pub struct Anvil {
    rpc_url: String,
    node: Node,
}

impl Anvil {
    /// Starts the `anvil` that is in `PATH`, and waits until it serves JSON-RPC at `address`.
    ///
    /// # Errors
    /// When it doesn't in time, or ends; then with what it wrote.
    pub async fn start(address: IpAddr) -> Result<Self> {
        Self::start_off(address, 0).await
    }

    /// The same with a clock that is this many seconds ahead of this machine's.
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub async fn start_off(address: IpAddr, seconds: i64) -> Result<Self> {
        let time = (jiff::Timestamp::now().as_second() + seconds).to_string();
        let chain_id = NEXT_CHAIN.fetch_add(1, Ordering::Relaxed);
        let mut node = Node::start("anvil", Path::new("anvil"), |home| {
            let number = chain_id.to_string();
            let address = address.to_string();
            let mut arguments: Vec<String> = [
                "--block-time",
                PERIOD,
                "--chain-id",
                &number,
                "--port",
                "0",
                "--host",
                &address,
                "--timestamp",
                &time,
            ]
            .map(str::to_owned)
            .to_vec();
            // For what has no room in memory: elsewhere the folder would stay behind.
            arguments.push(format!("--cache-path={}", home.join("states").display()));
            arguments
        })?;
        let listens = wait::until("anvil says where it listens", wait::SOON, async || {
            Ok(endpoint(&node.said()?).ok_or("it doesn't yet"))
        })
        .await;
        let rpc_url = format!("http://{}", node.explained(listens)?);
        Ok(Self { rpc_url, node })
    }

    /// JSON-RPC.
    pub fn rpc_url(&self) -> &str {
        &self.rpc_url
    }

    /// Adds the last of what anvil wrote to an error.
    ///
    /// # Errors
    /// `result`'s own.
    pub fn explained<T>(&self, result: Result<T>) -> Result<T> {
        self.node.explained(result)
    }
}

/// Where anvil says that JSON-RPC is served.
fn endpoint(log: &str) -> Option<String> {
    let mut listens = log.lines().filter_map(|line| line.trim().strip_prefix("Listening on "));
    listens.next().map(|address| address.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_is_read_from_the_banner() {
        let log = "Genesis Number\n==================\n\n0\n\nListening on 198.18.0.1:40123\n";
        assert_eq!(endpoint(log).as_deref(), Some("198.18.0.1:40123"));
        assert_eq!(endpoint("Genesis Number\n"), None);
    }
}
