//! Orders by the thousand, on a real market.

use alloy::eips::BlockNumberOrTag;
use alloy::primitives::{Address, B256, Bytes, FixedBytes, keccak256};
use alloy::providers::{DynProvider, Provider};
use alloy::sol_types::{SolCall, SolEvent};
use anyhow::{Context, Result, ensure};
use hawser_contracts::ComputeMarket;
use hawser_e2e::chain::{self, Chain, RawOrder};
use hawser_market::JobId;
use jiff::Timestamp;
use serde_json::{Value, json};

/// Orders in one transaction: less than 2^24 gas, which is the most that one may take.
const TOGETHER: usize = 80;
/// What fits into a block: all that comes between two of them.
const BLOCK_GAS: u64 = 10_000_000_000;
/// What each order buys.
pub(crate) const SECONDS: u32 = 4 * 24 * 3600;

/// An order that is on chain.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub(crate) id: JobId,
    /// Which of the offers.
    pub(crate) offer: usize,
}

impl Placed {
    /// Name of its `ComputeJob`.
    pub(crate) fn name(&self) -> String {
        hawser_e2e::order::Order::new(self.id, "").name()
    }
}

/// What customers want to run.
pub(crate) fn workload() -> Value {
    json!({"image": format!("registry.example/team/training@sha256:{}", "0".repeat(64)), "gpus": 1,
        "args": ["--steps", "100000", "--checkpoint", "/home/job/checkpoints"],
        "env": [{"name": "WANDB_MODE", "value": "offline"}, {"name": "SEED", "value": "42"}]})
}

/// Where orders are placed.
pub(crate) struct Market {
    chain: Chain,
    customer: ComputeMarket::ComputeMarketInstance<DynProvider>,
    offers: Vec<FixedBytes<8>>,
    salt: u64,
}

impl Market {
    /// Of offers that are on chain.
    pub(crate) async fn new(chain: Chain, offers: Vec<FixedBytes<8>>) -> Result<Self> {
        chain.allow(&chain.actors.customer).await?;
        let customer = chain.market_as(&chain.actors.customer)?;
        customer.provider().raw_request::<_, Value>("evm_setBlockGasLimit".into(), [format!("{BLOCK_GAS:#x}")]).await?;
        Ok(Self { chain, customer, offers, salt: 0 })
    }

    /// Places orders, spread over the offers; all are mined when this returns.
    pub(crate) async fn order(&mut self, count: usize) -> Result<Vec<Placed>> {
        let spec = Bytes::from(workload().to_string().into_bytes());
        let mut sent = Vec::new();
        let mut left = count;
        while left > 0 {
            let some = left.min(TOGETHER);
            left -= some;
            let calls = (0..some).map(|_| {
                self.salt += 1;
                let offer = usize::try_from(self.salt).unwrap_or_default() % self.offers.len();
                let order = RawOrder { offer: self.offers[offer], gpus: 1, seconds: SECONDS, spec: &spec };
                let order = order.of(self.chain.actors.customer.address, keccak256(self.salt.to_be_bytes()));
                Bytes::from(ComputeMarket::openJobCall { order, spec: spec.clone() }.abi_encode())
            });
            let calls: Vec<Bytes> = calls.collect();
            sent.push(self.customer.multicall(calls).send().await.map_err(chain::refusal)?);
        }
        let mut placed = Vec::with_capacity(count);
        for sent in sent {
            for log in chain::mined(sent).await?.inner.logs() {
                let Ok(opened) = ComputeMarket::JobOpened::decode_log(&log.inner) else { continue };
                let offer = self.offers.iter().position(|offer| *offer == opened.offerId).context("another offer")?;
                placed.push(Placed { id: JobId(opened.id), offer });
            }
        }
        ensure!(placed.len() == count, "{} of {count} orders were placed", placed.len());
        Ok(placed)
    }

    /// Starts them as the operator's wallet would, with these attestors; gives when the market saw each start.
    pub(crate) async fn start(
        &self,
        orders: &[Placed],
        attestor: impl Fn(&Placed) -> Address,
    ) -> Result<Vec<Timestamp>> {
        let market = self.chain.market_as(&self.chain.actors.operator)?;
        let mut sent = Vec::new();
        for some in orders.chunks(TOGETHER) {
            let ids: Vec<B256> = some.iter().map(|order| order.id.0).collect();
            let attestors = some.iter().map(&attestor).collect();
            sent.push((some.len(), market.startJobs(ids, attestors).send().await.map_err(chain::refusal)?));
        }
        let mut started = Vec::with_capacity(orders.len());
        for (count, sent) in sent {
            let number = chain::mined(sent).await?.block_number.context("mined in no block")?;
            let block = market.provider().get_block_by_number(number.into()).await?.context("no such block")?;
            let time = Timestamp::from_second(block.header.timestamp.try_into()?)?;
            started.extend(std::iter::repeat_n(time, count));
        }
        Ok(started)
    }

    /// The newest block.
    pub(crate) async fn head(&self) -> Result<(u64, B256)> {
        let block =
            self.customer.provider().get_block_by_number(BlockNumberOrTag::Latest).await?.context("no block")?;
        Ok((block.header.number, block.header.hash))
    }
}
