//! The EVM node that a testbed is on.

use alloy::primitives::Bytes;
use anyhow::Result;
use hawser_e2e::anvil::Anvil;
use hawser_e2e::chain::{Actors, Chain};
use hawser_e2e::environment::Environment;
use hawser_e2e::geth::Geth;
use hawser_e2e::operator;
use hawser_local::network::HOST;

/// Ends with its testbed, unless it is somebody else's.
pub(crate) enum Node {
    Anvil(Anvil),
    /// One whose market has the code of another release.
    Before(Anvil, Bytes),
    Geth(Geth),
    /// That of the cluster under test, which is not ours.
    Given(String),
}

impl Node {
    /// The usual one.
    pub(crate) async fn anvil() -> Result<Self> {
        if operator::is_local() {
            return Ok(Self::Anvil(Anvil::start(HOST.into()).await?));
        }
        Ok(Self::Given(Environment::read()?.rpc_url))
    }

    /// The usual one with a clock that is this many seconds ahead of the cluster's.
    pub(crate) async fn off(seconds: i64) -> Result<Self> {
        Ok(Self::Anvil(Anvil::start_off(HOST.into(), seconds).await?))
    }

    /// The usual one, with a market of this code.
    pub(crate) async fn before(code: Bytes) -> Result<Self> {
        Ok(Self::Before(Anvil::start(HOST.into()).await?, code))
    }

    /// One of another make.
    pub(crate) async fn geth() -> Result<Self> {
        Ok(Self::Geth(Geth::start(HOST.into()).await?))
    }

    /// A fresh market on it.
    pub(crate) async fn deploy(&self) -> Result<Chain> {
        match self {
            Self::Anvil(anvil) => anvil.explained(Chain::deploy(anvil.rpc_url()).await),
            Self::Before(anvil, code) => anvil.explained(Chain::deploy_with(anvil.rpc_url(), code).await),
            Self::Geth(geth) => {
                let deployed = async {
                    geth.fund(&Actors::of_anvil()?).await?;
                    Chain::deploy(geth.rpc_url()).await
                };
                geth.explained(deployed.await)
            }
            Self::Given(url) => Chain::deploy(url).await,
        }
    }

    /// Adds the last of what it wrote to an error.
    pub(crate) fn explained<T>(&self, result: Result<T>) -> Result<T> {
        match self {
            Self::Anvil(anvil) | Self::Before(anvil, _) => anvil.explained(result),
            Self::Geth(geth) => geth.explained(result),
            Self::Given(_) => result,
        }
    }
}
