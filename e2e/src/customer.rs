//! A customer with nothing but the `hawser` program, a key and an RPC endpoint.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use hawser_market::JobId;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::chain::Account;
use crate::fixture::Fixture;
use crate::run;

/// Somebody who orders through the CLI.
#[derive(Clone, Debug)]
pub struct Customer<'a> {
    fixture: &'a Fixture,
    account: Account,
}

/// What a customer wants to run.
#[derive(Clone, Debug)]
pub struct JobSpec {
    /// The market's `OfferId`.
    pub offer: String,
    /// GPUs.
    pub gpus: u16,
    /// Seconds to buy.
    pub seconds: u32,
    /// Image.
    pub image: String,
    /// Entry point, or none for the image's own.
    pub command: Vec<String>,
    /// Arguments.
    pub args: Vec<String>,
}

impl<'a> Customer<'a> {
    /// The fixture's first customer.
    pub fn first(fixture: &'a Fixture) -> Self {
        Self { fixture, account: fixture.chain.actors.customer.clone() }
    }

    /// The fixture's other customer.
    pub fn rival(fixture: &'a Fixture) -> Self {
        Self { fixture, account: fixture.chain.actors.rival.clone() }
    }

    /// The customer's account.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// Runs `hawser ARGS -o json` and reads its answer.
    ///
    /// # Errors
    /// When it exits non-zero, with what it said.
    pub async fn hawser(&self, args: &[&str]) -> Result<Value> {
        let answer = run::command(&mut self.command(args)).await?;
        serde_json::from_str(&answer).with_context(|| format!("hawser {args:?} answered {answer:?}, which is no JSON"))
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.fixture.environment.hawser);
        command
            .args(args)
            .args(["-o", "json"])
            .env("HAWSER_RPC_URL", &self.fixture.chain.rpc_url)
            .env("HAWSER_MARKET", self.fixture.chain.market.to_string())
            .env("HAWSER_PRIVATE_KEY", &self.account.key);
        command
    }

    /// `hawser order`: deposits and opens the job.
    ///
    /// # Errors
    /// When the CLI or the market refuses.
    pub async fn order(&self, spec: &JobSpec) -> Result<JobId> {
        let file = tempfile::NamedTempFile::with_suffix(".yaml")?;
        let mut workload = json!({ "image": spec.image, "args": spec.args });
        if !spec.command.is_empty() {
            workload["command"] = json!(spec.command);
        }
        let order = json!({ "offer": spec.offer, "gpus": spec.gpus, "seconds": spec.seconds, "workload": workload });
        serde_yaml_ng::to_writer(file.as_file(), &order)?;
        let answer = self.hawser(&["order", "-f", path(file.path())?]).await?;
        let id = answer["jobId"].as_str().with_context(|| format!("no jobId in {answer}"))?;
        Ok(id.parse()?)
    }

    /// `hawser verify`: the evidence against the chain. The double's cards are idle as a rule, which is a warning (exit code 3).
    ///
    /// # Errors
    /// When it does not hold, with what is wrong.
    pub async fn verify(&self, evidence: &str) -> Result<Value> {
        let output =
            self.command(&["verify", evidence]).kill_on_drop(true).output().await.context("can't start hawser")?;
        let (said, why) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(
            matches!(output.status.code(), Some(0 | 3)),
            "hawser verify {evidence}: {}\n{said}{why}",
            output.status
        );
        serde_json::from_str(&said).with_context(|| format!("hawser verify answered {said:?}, which is no JSON"))
    }
}

fn path(path: &Path) -> Result<&str> {
    path.to_str().context("a temporary path is not UTF-8")
}
