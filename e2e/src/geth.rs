//! geth's developer chain: the second EVM client that an order's whole life is gone through on, beside anvil.

use std::net::IpAddr;
use std::path::Path;

use alloy::network::TransactionBuilder as _;
use alloy::primitives::U256;
use alloy::primitives::utils::parse_ether;
use alloy::providers::Provider as _;
use alloy::rpc::types::TransactionRequest;
use anyhow::Result;
use serde_json::Value;

use crate::chain::{Account, Actors, connect, mined};
use crate::environment::variable;
use crate::node::Node;
use crate::wait;

/// Seconds between two blocks: those of the cluster's anvil.
const PERIOD: &str = "2";
/// Megabytes for a chain of a few hundred blocks. By default the database keeps five logs of 282 MB ready on disk.
const CACHE: &str = "64";
/// Key of the account that holds the developer chain's coins: `DeveloperKey` in geth's `cmd/utils/flags.go`.
const DEVELOPER: &str = "0xb71c71a67e1177ad4e901695e1b4b9ee17ae16c6668d313eac2f96dbcda3f291";

/// A node with a chain of its own, until it is dropped.
#[derive(Debug)]
pub struct Geth {
    rpc_url: String,
    node: Node,
}

impl Geth {
    /// Starts the program that `HAWSER_GETH` names, and waits until it serves JSON-RPC at `address` and seals blocks.
    ///
    /// # Errors
    /// When it doesn't in time, or ends; then with what it wrote.
    pub async fn start(address: IpAddr) -> Result<Self> {
        let program = variable("HAWSER_GETH")?;
        let node = Node::start("geth", Path::new(&program), |home| {
            let (data, address) = (home.join("data").display().to_string(), address.to_string());
            [
                "--dev",
                "--dev.period",
                PERIOD,
                "--datadir",
                &data,
                "--cache",
                CACHE,
                "--ipcdisable",
                "--log.format",
                "json",
            ]
            .into_iter()
            .chain(["--http", "--http.api", "eth,net,web3", "--http.port", "0", "--http.addr", &address])
            .map(str::to_owned)
            .collect()
        })?;
        let mut geth = Self { rpc_url: String::new(), node };
        let ready = geth.wait().await;
        geth.explained(ready)?;
        Ok(geth)
    }

    async fn wait(&mut self) -> Result<()> {
        let listens = wait::until("geth says where it listens", wait::SOON, async || {
            Ok(endpoint(&self.node.said()?).ok_or("it doesn't yet"))
        });
        self.rpc_url = format!("http://{}", listens.await?);
        let node = connect(&self.rpc_url, &Account::new(DEVELOPER)?)?;
        wait::until("geth seals blocks", wait::SOON, async || {
            let block = node.get_block_number().await?;
            Ok(if block > 0 { Ok(()) } else { Err("there is only block 0") })
        })
        .await
    }

    /// JSON-RPC.
    pub fn rpc_url(&self) -> &str {
        &self.rpc_url
    }

    /// Gives coins for gas to everybody: only the developer account has any.
    ///
    /// # Errors
    /// When the node refuses a transfer.
    pub async fn fund(&self, actors: &Actors) -> Result<()> {
        let developer = Account::new(DEVELOPER)?;
        let node = connect(&self.rpc_url, &developer)?;
        let first = node.get_transaction_count(developer.address).await?;
        let each: U256 = parse_ether("1000")?;
        let mut sent = Vec::new();
        for (nonce, actor) in (first..).zip(actors.all()) {
            let transfer = TransactionRequest::default().with_to(actor.address).with_value(each).with_nonce(nonce);
            sent.push(node.send_transaction(transfer).await?);
        }
        for transfer in sent {
            mined(transfer).await?;
        }
        Ok(())
    }

    /// Adds the last of what geth wrote to an error.
    ///
    /// # Errors
    /// `result`'s own.
    pub fn explained<T>(&self, result: Result<T>) -> Result<T> {
        self.node.explained(result)
    }
}

/// Where geth's log says that JSON-RPC is served without authentication.
fn endpoint(log: &str) -> Option<String> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut servers = lines.filter(|line| line["msg"] == "HTTP server started" && line["auth"] == false);
    servers.find_map(|line| line["endpoint"].as_str().map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_is_that_without_authentication() {
        let log = r#"{"t":"2026-11-22T23:05:27Z","lvl":"info","msg":"Starting peer-to-peer node"}
a panic's own words
{"t":"2026-11-22T23:05:27Z","lvl":"info","msg":"HTTP server started","endpoint":"127.0.0.1:8551","auth":true}
{"t":"2026-11-22T23:05:27Z","lvl":"info","msg":"HTTP server started","endpoint":"198.18.0.1:43749","auth":false}
{"t":"2026-11-22T23:05:"#;
        assert_eq!(endpoint(log).as_deref(), Some("198.18.0.1:43749"));
        assert_eq!(endpoint(log.lines().next().unwrap_or_default()), None);
    }
}
