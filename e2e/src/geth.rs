//! geth's developer chain: the second EVM client that an order's whole life is gone through on, beside anvil.

use std::fs::File;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use alloy::network::TransactionBuilder as _;
use alloy::primitives::U256;
use alloy::primitives::utils::parse_ether;
use alloy::providers::Provider as _;
use alloy::rpc::types::TransactionRequest;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::chain::{Account, Actors, connect, mined};
use crate::environment::variable;
use crate::wait;

/// Seconds between two blocks: those of the cluster's anvil.
const PERIOD: &str = "2";
/// Megabytes for a chain of a few hundred blocks. By default the database keeps five logs of 282 MB ready on disk.
const CACHE: &str = "64";
/// Key of the account that holds the developer chain's coins: `DeveloperKey` in geth's `cmd/utils/flags.go`.
const DEVELOPER: &str = "0xb71c71a67e1177ad4e901695e1b4b9ee17ae16c6668d313eac2f96dbcda3f291";
const LINES_SHOWN: usize = 40;

/// A node with a chain of its own, until it is dropped.
#[derive(Debug)]
pub struct Geth {
    rpc_url: String,
    process: Child,
    home: TempDir,
}

impl Geth {
    /// Starts the program that `HAWSER_GETH` names, and waits until it serves JSON-RPC at `address` and seals blocks.
    ///
    /// # Errors
    /// When it doesn't in time, or ends; then with what it wrote.
    pub async fn start(address: IpAddr) -> Result<Self> {
        // Another provider may be in the process already; ring is the one that the whole tree uses.
        _ = rustls::crypto::ring::default_provider().install_default();
        let program = variable("HAWSER_GETH")?;
        let home = tempfile::Builder::new().prefix("hawser-geth-").tempdir()?;
        let log = File::create(log_of(&home))?;
        let process = Command::new(&program)
            .args(["--dev", "--dev.period", PERIOD, "--datadir"])
            .arg(home.path().join("data"))
            .args(["--cache", CACHE, "--ipcdisable", "--log.format", "json"])
            .args(["--http", "--http.api", "eth,net,web3", "--http.port", "0", "--http.addr", &address.to_string()])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("{program} can't be run"))?;
        let mut geth = Self { rpc_url: String::new(), process, home };
        let ready = geth.wait().await;
        geth.explained(ready)?;
        Ok(geth)
    }

    async fn wait(&mut self) -> Result<()> {
        let listens = wait::until("geth says where it listens", Duration::from_mins(1), async || {
            let ended = self.process.try_wait()?;
            ensure!(ended.is_none(), "geth ended with {ended:?}");
            Ok(endpoint(&self.log()).ok_or("it doesn't yet"))
        });
        self.rpc_url = format!("http://{}", listens.await?);
        let node = connect(&self.rpc_url, &Account::new(DEVELOPER)?)?;
        wait::until("geth seals blocks", Duration::from_secs(30), async || {
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
        result.map_err(|error| {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(LINES_SHOWN)..];
            error.context(format!("geth wrote at last:\n{}", last.join("\n")))
        })
    }

    fn log(&self) -> String {
        std::fs::read_to_string(log_of(&self.home)).unwrap_or_default()
    }
}

impl Drop for Geth {
    fn drop(&mut self) {
        // Waited for, so that its folder can be removed after it.
        if let Err(error) = self.process.kill().and_then(|()| self.process.wait()) {
            eprintln!("geth (process {}) can't be killed: {error}", self.process.id());
        }
    }
}

fn log_of(home: &TempDir) -> PathBuf {
    home.path().join("log")
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
