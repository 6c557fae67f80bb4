//! Reads orders and withdrawals from the chain's logs: by ranges of confirmed blocks, from a cursor whose block is checked
//! each time.

use std::{collections::HashMap, fmt, time::Duration};

use alloy::{
    eips::BlockNumberOrTag,
    primitives::{Address, U256},
    rpc::types::{Filter, Log},
    sol_types::SolEvent,
};
use hawser_contracts::{
    ComputeMarket::{JobOpened, Withdrawn},
    JobId, OfferId,
};
use hawser_crds::{Confirmations, Finality};

use super::{
    Inner,
    pulse::header,
    ranges::{Span, Track},
    read,
};
use crate::network::{Block, Cursor, NetworkError, NetworkSpec, Order};

const SHORTEST_BACKOFF: Duration = Duration::from_millis(250);
const LONGEST_BACKOFF: Duration = Duration::from_secs(15);
/// What fails for so long does not pass by itself within a block or two.
const WORTH_TELLING: Duration = Duration::from_secs(4);

/// What one look brought.
enum Look {
    /// What happened up to a block; perhaps nothing.
    Read(News),
    /// The block under the cursor is another one now.
    Reorg,
    /// The endpoint lags behind the head that another one showed, or refuses the range: look again.
    Again,
    /// All confirmed blocks were read.
    UpToDate,
}

/// What concerns the provider up to a block.
struct News {
    orders: Vec<Order>,
    withdrawals: Vec<Withdrawal>,
    to: Block,
}

/// Units of a token that left the market for the provider's payout address.
struct Withdrawal {
    token: Address,
    units: U256,
    block: u64,
}

pub(super) async fn run<S, F, E>(network: &Inner, from: Option<Cursor>, sink: S)
where
    S: Fn(Vec<Order>) -> F,
    F: Future<Output = Result<(), E>>,
    E: fmt::Display,
{
    let track = Track::new(from, network.spec.start_block);
    let mut watcher =
        Watcher { network, counted: track.at().number, track, span: Span::default(), ours: HashMap::new() };
    let mut heads = network.observed.subscribe();
    let mut backoff = Duration::ZERO;
    loop {
        let head = heads.borrow_and_update().head.map_or(0, |head| head.block.number);
        let failed = match watcher.look(head).await {
            Ok(Look::Read(news)) => watcher.hand_over(news, &sink).await.err(),
            Ok(Look::Reorg) => {
                let left = watcher.track.at();
                watcher.track.step_back();
                tracing::warn!(block = left.number, "reorg: orders are read again from an earlier block");
                None
            }
            Ok(Look::Again) => Some("the endpoint lags or refuses the range".to_owned()),
            Ok(Look::UpToDate) => {
                if network.cancel.run_until_cancelled(heads.changed()).await.is_none() {
                    return;
                }
                None
            }
            Err(error) => Some(error.to_string()),
        };
        if network.cancel.is_cancelled() {
            return;
        }
        let Some(why) = failed else {
            backoff = Duration::ZERO;
            trouble(network, None);
            continue;
        };
        backoff = (backoff * 2).clamp(SHORTEST_BACKOFF, LONGEST_BACKOFF);
        if backoff >= WORTH_TELLING {
            trouble(network, Some(&why));
        }
        tracing::debug!(why, ?backoff, "orders are looked for again");
        if network.cancel.run_until_cancelled(tokio::time::sleep(backoff)).await.is_none() {
            return;
        }
    }
}

fn trouble(network: &Inner, why: Option<&str>) {
    network.observed.send_if_modified(|observed| {
        let changed = observed.orders_trouble.as_deref() != why;
        if changed {
            observed.orders_trouble = why.map(str::to_owned);
        }
        changed
    });
}

struct Watcher<'a> {
    network: &'a Inner,
    track: Track,
    /// Withdrawals up to this block are in the sums. It never falls: blocks are read again after a reorg, and what was
    /// counted is not counted again.
    counted: u64,
    span: Span,
    /// Whether an offer is the provider's own; an offer's provider never changes.
    ours: HashMap<OfferId, bool>,
}

impl Watcher<'_> {
    async fn look(&mut self, head: u64) -> Result<Look, NetworkError> {
        let confirmed = self.confirmed(head).await?;
        let at = self.track.at();
        let Some(range) = self.span.next(at.number, confirmed, head) else { return Ok(Look::UpToDate) };
        if let Some(expected) = at.hash {
            match self.block(at.number).await? {
                Some(block) if block.hash == expected => {}
                Some(_) => return Ok(Look::Reorg),
                None => return Ok(Look::Again),
            }
        }
        // Its hash is read before the logs: a reorg between the two shows at the next look.
        let Some(to) = self.block(*range.end()).await? else { return Ok(Look::Again) };
        let events = vec![JobOpened::SIGNATURE_HASH, Withdrawn::SIGNATURE_HASH];
        let filter = Filter::new().address(self.network.spec.market).event_signature(events);
        let filter = if range.start() == range.end() {
            // By hash, a node behind the same address that lags can't answer with nothing.
            filter.at_block_hash(to.hash)
        } else {
            filter.from_block(*range.start()).to_block(*range.end())
        };
        let logs: Vec<Log> = match self.network.chain.ask("eth_getLogs", (filter,)).await {
            Ok(logs) => logs,
            Err(error @ NetworkError::Answer { .. }) => {
                return if self.span.refused(&range) { Ok(Look::Again) } else { Err(error) };
            }
            Err(error) => return Err(error),
        };
        self.span.answered();
        let mut orders = Vec::with_capacity(logs.len());
        for order in logs.iter().filter_map(|log| order(log, self.network.spec.market)) {
            if self.is_ours(order.offer).await? {
                orders.push(order);
            }
        }
        let withdrawals = logs.iter().filter_map(|log| withdrawal(log, &self.network.spec)).collect();
        Ok(Look::Read(News { orders, withdrawals, to }))
    }

    async fn hand_over<S, F, E>(&mut self, news: News, sink: &S) -> Result<(), String>
    where
        S: Fn(Vec<Order>) -> F,
        F: Future<Output = Result<(), E>>,
        E: fmt::Display,
    {
        let News { orders, withdrawals, to } = news;
        if !orders.is_empty() {
            tracing::info!(orders = orders.len(), block = to.number, "orders seen");
            sink(orders).await.map_err(|error| format!("orders were not taken over: {error}"))?;
        }
        self.track.advance(to);
        self.network.observed.send_modify(|observed| {
            observed.cursor = Some(to);
            for withdrawal in withdrawals.iter().filter(|withdrawal| withdrawal.block > self.counted) {
                let sum = observed.withdrawn.entry(withdrawal.token).or_default();
                *sum = sum.saturating_add(withdrawal.units);
            }
        });
        self.counted = self.counted.max(to.number);
        Ok(())
    }

    /// The last block whose orders are believed.
    async fn confirmed(&self, head: u64) -> Result<u64, NetworkError> {
        let chain = &self.network.chain;
        let tag = match self.network.spec.confirmations {
            Confirmations::Blocks(blocks) => return Ok(head.saturating_sub(blocks)),
            Confirmations::Tag(Finality::Safe) => BlockNumberOrTag::Safe,
            Confirmations::Tag(Finality::Finalized) => BlockNumberOrTag::Finalized,
        };
        let block = header(chain, tag).await?.map(|header| header.block.number);
        block.ok_or_else(|| NetworkError::Malformed {
            endpoint: chain.endpoint(),
            method: "eth_getBlockByNumber",
            message: format!("it has no {tag} block; where it never has, set spec.evm.confirmations to a number"),
        })
    }

    async fn block(&self, number: u64) -> Result<Option<Block>, NetworkError> {
        let header = header(&self.network.chain, BlockNumberOrTag::Number(number)).await?;
        Ok(header.map(|header| header.block))
    }

    async fn is_ours(&mut self, offer: OfferId) -> Result<bool, NetworkError> {
        if let Some(ours) = self.ours.get(&offer) {
            return Ok(*ours);
        }
        let spec = &self.network.spec;
        // Its log says that it was posted: the node that was asked now lags, or a reorg took both away, which shows when the
        // block is read again.
        let posted = read::offer(&self.network.chain, spec.market, offer).await?;
        let posted = posted.ok_or_else(|| NetworkError::Malformed {
            endpoint: self.network.chain.endpoint(),
            method: "offer",
            message: format!("it does not know offer {offer}, which was ordered from"),
        })?;
        let ours = posted.terms.provider == spec.provider;
        self.ours.insert(offer, ours);
        Ok(ours)
    }
}

/// The provider's withdrawal in a log; none where the log is of something or somebody else.
fn withdrawal(log: &Log, spec: &NetworkSpec) -> Option<Withdrawal> {
    let withdrawn = Withdrawn::decode_log(&log.inner).ok()?;
    let ours = withdrawn.address == spec.market && withdrawn.account == spec.provider && !log.removed;
    let block = log.block_number.filter(|_| ours)?;
    Some(Withdrawal { token: withdrawn.token, units: withdrawn.amount, block })
}

/// The order in a log; none where the log is not what the market writes.
fn order(log: &Log, market: Address) -> Option<Order> {
    let opened = JobOpened::decode_log(&log.inner).ok().filter(|opened| opened.address == market)?;
    let order = Order {
        job: JobId(opened.id),
        offer: OfferId(opened.offerId),
        customer: opened.customer,
        duration_seconds: opened.duration,
        start_deadline: read::timestamp(opened.startDeadline),
        deposit: opened.deposit,
        salt: opened.salt,
        spec: opened.spec.clone(),
        block: Block { number: log.block_number?, hash: log.block_hash? },
        tx: log.transaction_hash?,
    };
    if log.removed || !order.is_what_its_id_says() {
        tracing::warn!(job = %order.job, tx = %order.tx, "a log of an order that its id denies is left out");
        return None;
    }
    Some(order)
}
