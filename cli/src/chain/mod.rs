//! The market on an EVM chain: what can be read of it, and the one way in which transactions are sent.

mod account_history;
mod draft;
mod endpoint;
mod history;
mod logs;
mod offers;
mod orders;
mod payment;
mod record;
mod send;
mod token;

use std::cell::Cell;

use alloy::{
    eips::BlockNumberOrTag,
    primitives::{Address, U256},
    providers::{Provider, RootProvider},
    signers::local::PrivateKeySigner,
};
use hawser_contracts::{ComputeMarket, ComputeMarket::ComputeMarketInstance};
use hawser_market::{Job, JobId, JobStatus};

pub(crate) use account_history::{Fee, FeeSince, place, read};
pub(crate) use draft::Draft;
pub(crate) use history::{Closing, History};
pub(crate) use logs::Pages;
pub(crate) use offers::ALL_CLASSES;
pub(crate) use payment::Purchase;
pub(crate) use record::{Claimed, Named, Record};

use crate::{args::Connection, failure::Failure};

/// Blocks, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Period {
    pub(crate) from: u64,
    pub(crate) to: u64,
}

/// Who sends transactions.
#[derive(Debug)]
pub(crate) enum Sender {
    /// Nobody: the market is only read.
    Nobody,
    /// Whoever holds this key.
    Key(PrivateKeySigner),
    /// An account whose transactions are written down here and sent elsewhere.
    Draft(Draft),
}

/// A market, and who sends transactions to it.
pub(crate) struct MarketClient {
    contract: ComputeMarketInstance<RootProvider>,
    provider: RootProvider,
    sender: Sender,
    chain_id: u64,
    from_block: u64,
    /// Nonces below it are used up.
    next_nonce: Cell<u64>,
}

impl MarketClient {
    /// Connects and makes sure that a contract is there.
    pub(crate) async fn connect(to: &Connection, sender: Sender) -> Result<Self, Failure> {
        let nodes = endpoint::nodes(&to.rpc_urls)?;
        let address =
            to.market.ok_or_else(|| Failure::input("no market: say which with --market ADDRESS or HAWSER_MARKET"))?;
        let pool = endpoint::pool(nodes, address, to.chain_id)?;
        let ready = pool.ready().await;
        let chain_id =
            ready.map_err(|error| endpoint::mismatch(&error).unwrap_or_else(|| send::failure(error, None)))?;
        if let Some(words) = endpoint::passed_over(&pool) {
            crate::output::progress(words);
        }
        let provider = pool.provider().clone();
        let contract = ComputeMarket::new(address, provider.clone());
        Ok(Self { contract, provider, sender, chain_id, from_block: to.from_block, next_nonce: Cell::new(0) })
    }

    pub(crate) fn address(&self) -> Address {
        *self.contract.address()
    }

    pub(crate) fn chain_id(&self) -> u64 {
        self.chain_id
    }

    /// Builds calls; [`send`](Self::send) sends them.
    pub(crate) fn contract(&self) -> &ComputeMarketInstance<RootProvider> {
        &self.contract
    }

    /// Whose transactions are sent.
    pub(crate) fn me(&self) -> Result<Address, Failure> {
        match &self.sender {
            Sender::Draft(draft) => Ok(draft.account),
            Sender::Key(_) | Sender::Nobody => Ok(self.key()?.address()),
        }
    }

    /// The transactions that were written down instead of sent; none where they are sent.
    pub(crate) fn drafted(&self) -> Option<serde_json::Value> {
        self.draft().map(|draft| draft.batch(self.chain_id))
    }

    const fn draft(&self) -> Option<&Draft> {
        match &self.sender {
            Sender::Draft(draft) => Some(draft),
            Sender::Key(_) | Sender::Nobody => None,
        }
    }

    fn key(&self) -> Result<&PrivateKeySigner, Failure> {
        match &self.sender {
            Sender::Key(key) => Ok(key),
            Sender::Draft(_) | Sender::Nobody => {
                Err(Failure::input("this needs a key: --keystore or HAWSER_PRIVATE_KEY"))
            }
        }
    }

    /// The chain's own clock: the time of the newest block.
    pub(crate) async fn now(&self) -> Result<u64, Failure> {
        let block = self.provider.get_block_by_number(BlockNumberOrTag::Latest).await;
        let block = block.map_err(|error| send::failure(error, None))?;
        block
            .map(|block| block.header.timestamp)
            .ok_or_else(|| Failure::Unreachable("the node has no newest block".into()))
    }

    /// Whether the market was there after a block; none where the node can't tell.
    async fn had_code(&self, block: u64) -> Option<bool> {
        let code = self.provider.get_code_at(self.address()).block_id(block.into()).await;
        code.ok().map(|code| !code.is_empty())
    }

    async fn head(&self) -> Result<u64, Failure> {
        self.provider.get_block_number().await.map_err(|error| send::failure(error, None))
    }

    /// A job that was ordered on this market.
    pub(crate) async fn job(&self, id: JobId) -> Result<Job, Failure> {
        let job = self.contract.job(id.0).call().await.map_err(|error| send::call_failure(error, None))?;
        let job = Job::read(id, &job).map_err(|unknown| Failure::refused(format!("job {id}: {unknown}")))?;
        if job.status == JobStatus::None {
            return Err(Failure::refused(format!(
                "there is no job {id} on the market {} of chain {}: check the id, --market and --rpc-url",
                self.address(),
                self.chain_id
            )));
        }
        Ok(job)
    }

    /// Token units that an account can spend on orders or withdraw.
    pub(crate) async fn credit(&self, account: Address, token: Address) -> Result<U256, Failure> {
        self.contract.credit(account, token).call().await.map_err(|error| send::call_failure(error, None))
    }

    /// The keys of a provider; `None` for everybody else.
    async fn keys_of(&self, account: Address) -> Result<Option<ComputeMarket::Provider>, Failure> {
        // The binding's own `provider` is the connection.
        let call = self.contract.call_builder(&ComputeMarket::providerCall { account });
        let keys = call.call().await.map_err(|error| send::call_failure(error, None))?;
        Ok((keys.payout != Address::ZERO).then_some(keys))
    }

    /// The keys of an account that has to be a provider.
    pub(crate) async fn provider_keys(&self, account: Address) -> Result<ComputeMarket::Provider, Failure> {
        self.keys_of(account).await?.ok_or_else(|| {
            Failure::refused(format!(
                "{account} is not registered as a provider on the market {} of chain {}: a provider is the address of \
                 its cold key, neither its operator nor its payout address; `hawser provider set` makes the key's own \
                 account one",
                self.address(),
                self.chain_id
            ))
        })
    }

    /// Where a provider's earnings go; `None` for everybody else.
    pub(crate) async fn payout_of(&self, account: Address) -> Result<Option<Address>, Failure> {
        Ok(self.keys_of(account).await?.map(|keys| keys.payout))
    }
}
