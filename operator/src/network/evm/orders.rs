//! Reads orders, ends, top-ups and withdrawals from the chain's logs: by ranges of confirmed blocks, from a cursor whose
//! block is checked each time. Where the blocks' headers say that nothing of ours is in them, that is asked for seldom.

use std::{
    collections::BTreeSet,
    fmt,
    time::{Duration, Instant},
};

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
    confirmed::{Confirmed, Lag},
    headers::Hint,
    hints::{Hints, Unread},
    holes::{At, given, header_by_hash},
    lock,
    pulse::header,
    ranges::{Span, Track, is_near},
    read,
};
use crate::network::{Block, Cursor, Head, NetworkError, NetworkSpec, Order};

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
    /// There is an offer of ours or a header that was not known, or a request that the endpoint does not know: ask again,
    /// otherwise.
    Otherwise,
    /// Nothing is to be asked for before another block comes, or this time has passed.
    UpToDate(Option<Duration>),
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
    let mut watcher = Watcher {
        network,
        counted: track.at().number,
        track,
        span: Span::default(),
        hints: Hints::default(),
        looked_up: None,
        by_range: false,
        read: None,
        confirmed: None,
        lag: Lag::default(),
    };
    let mut heads = network.observed.subscribe();
    let mut backoff = Duration::ZERO;
    loop {
        let head = heads.borrow_and_update().head;
        let failed = match watcher.look(head).await {
            Ok(Look::Read(news)) => watcher.hand_over(news, &sink).await.err(),
            Ok(Look::Reorg) => {
                let left = watcher.track.at();
                watcher.track.step_back();
                network.facts.touch_all();
                tracing::warn!(block = left.number, "reorg: orders are read again from an earlier block");
                None
            }
            Ok(Look::Otherwise) => continue,
            Ok(Look::Again) => Some("the endpoint lags or refuses the range".to_owned()),
            Ok(Look::UpToDate(within)) => {
                let changed = async {
                    tokio::select! {
                        _ = heads.changed() => {}
                        () = tokio::time::sleep(within.unwrap_or(Duration::MAX)) => {}
                    }
                };
                if network.cancel.run_until_cancelled(changed).await.is_none() {
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
    hints: Hints,
    /// The last block whose header was asked for.
    looked_up: Option<u64>,
    /// The endpoint does not know how to give the logs of a block by its hash.
    by_range: bool,
    /// When logs were last read.
    read: Option<Instant>,
    /// The last answer to what is safe or final.
    confirmed: Option<Confirmed>,
    lag: Lag,
}

impl Watcher<'_> {
    async fn look(&mut self, head: Option<Head>) -> Result<Look, NetworkError> {
        let Some(head) = head else { return Ok(Look::UpToDate(None)) };
        let confirmed = self.confirmed(head).await?;
        let at = self.track.at();
        let unread = self.unread(at.number, confirmed);
        self.tell(unread.blocks);
        let since = self.read.map(|at| at.elapsed());
        if !unread.is_due(since) {
            return Ok(Look::UpToDate(unread.waits(since)));
        }
        let quiet = unread.quiet_until(at.number);
        let next = quiet.saturating_add(1);
        if next <= confirmed && is_near(next, head.block.number) && self.read_header(next).await? {
            return Ok(Look::Otherwise);
        }
        let Some(range) = self.span.next(at.number, confirmed, head.block.number, quiet) else {
            return Ok(Look::UpToDate(None));
        };
        if let Some(expected) = at.hash {
            match self.network.at(at.number, head.block.number).await? {
                At::Block(block) if block.hash == expected => {}
                At::Block(_) | At::Hole { .. } => return Ok(Look::Reorg),
                At::Unknown => return Ok(Look::Again),
            }
        }
        // Its hash is read before the logs: a reorg between the two shows at the next look.
        let (to, alone) = match self.network.at(*range.end(), head.block.number).await? {
            At::Block(block) => (block, range.start() == range.end()),
            At::Hole { below, .. } if below.number >= *range.start() => (below, below.number == *range.start()),
            At::Hole { below, .. } if at.hash.is_some_and(|hash| hash != below.hash) => return Ok(Look::Again),
            // All of the range is passed over, and the first block after it read in its place.
            At::Hole { above, .. } if above.number <= confirmed => (above, true),
            At::Hole { .. } => return Ok(Look::UpToDate(None)),
            At::Unknown => return Ok(Look::Again),
        };
        let filter = lock(&self.network.ours).filter();
        let logs = match self.logs(filter, *range.start(), to, alone && !self.by_range).await {
            Ok(logs) => logs,
            Err(error @ NetworkError::Answer { .. }) => {
                if self.span.refused(&range) {
                    return Ok(Look::Again);
                }
                if alone && !self.by_range && self.lacks(to).await? {
                    return Ok(Look::Again);
                }
                // Some endpoints know ranges only; the block is then checked by what the logs say of it.
                self.by_range = !self.by_range;
                return if self.by_range { Ok(Look::Otherwise) } else { Err(error) };
            }
            Err(error) => return Err(error),
        };
        if alone && logs.iter().any(|log| log.block_hash != Some(to.hash)) {
            return Ok(Look::Again);
        }
        if alone && self.by_range && logs.is_empty() && self.lacks(to).await? {
            return Ok(Look::Again);
        }
        self.span.answered();
        self.read = Some(Instant::now());
        self.learn(&logs, to).await
    }

    /// Reads the header of a block that nobody saw when it was the newest: that is one request, its logs by its hash are two.
    /// False where it would tell nothing new.
    async fn read_header(&mut self, number: u64) -> Result<bool, NetworkError> {
        let known = lock(&self.network.headers).likely(number).is_some();
        if known || self.hints != Hints::Trusted || self.looked_up == Some(number) {
            return Ok(false);
        }
        self.looked_up = Some(number);
        let Some(header) = given(&self.network.chain, number).await? else { return Ok(false) };
        lock(&self.network.headers).put_past(&header);
        Ok(true)
    }

    /// Whether the node that answers has not the block: one of several behind an address lags, and what it says of the
    /// block's logs is nothing.
    async fn lacks(&self, block: Block) -> Result<bool, NetworkError> {
        Ok(header_by_hash(&self.network.chain, block.hash).await?.is_none())
    }

    /// By hash, a node behind the same address that lags can't answer with nothing.
    async fn logs(&self, filter: Filter, from: u64, to: Block, by_hash: bool) -> Result<Vec<Log>, NetworkError> {
        let filter = if by_hash { filter.at_block_hash(to.hash) } else { filter.from_block(from).to_block(to.number) };
        self.network.chain.ask("eth_getLogs", (filter,)).await
    }

    async fn learn(&mut self, logs: &[Log], to: Block) -> Result<Look, NetworkError> {
        let market = self.network.spec.market;
        let numbers: BTreeSet<u64> =
            logs.iter().filter(|log| log.address() == market).filter_map(|log| log.block_number).collect();
        for number in numbers {
            let seen = lock(&self.network.headers).standing(number).copied();
            let header = match (seen, self.hints) {
                // Once, to find out at all.
                (None, Hints::Untried) => given(&self.network.chain, number).await?,
                (seen, _) => seen,
            };
            self.hints.learn(header.map(|header| header.tells_of(market)));
            tracing::debug!(number, hints = ?self.hints, "logs and their header");
        }
        let found = lock(&self.network.ours).read(logs);
        if found.more {
            return Ok(Look::Otherwise);
        }
        found.changed.into_iter().for_each(|job| self.network.facts.touch(job));
        let orders: Vec<_> = {
            let ours = lock(&self.network.ours);
            logs.iter().filter_map(|log| order(log, market)).filter(|order| ours.has(order.offer)).collect()
        };
        if !orders.is_empty() {
            // Whoever takes them looks at each.
            let jobs: Vec<_> = orders.iter().map(|order| order.job).collect();
            self.network.read_ahead(&jobs).await?;
        }
        let withdrawals = logs.iter().filter_map(|log| withdrawal(log, &self.network.spec)).collect();
        Ok(Look::Read(News { orders, withdrawals, to }))
    }

    /// What the headers say of the confirmed blocks that were not read yet.
    fn unread(&mut self, after: u64, confirmed: u64) -> Unread {
        let topics = lock(&self.network.ours).topics();
        let headers = lock(&self.network.headers);
        self.hints.try_out(|| headers.tell_anything());
        let market = self.network.spec.market;
        let nothing = |number| headers.around(number).map(|_| Hint::No);
        let hint = |number| headers.likely(number).map(|header| header.hint(market, &topics));
        self.hints.unread(after, confirmed, |number| hint(number).or_else(|| nothing(number)))
    }

    fn tell(&self, unread: u64) {
        let lag = self.lag.longest(Instant::now());
        self.network.observed.send_if_modified(|observed| {
            // Nobody waits for these alone, and this watcher must not wake itself.
            (observed.unread, observed.confirmation_lag) = (Some(unread), lag);
            false
        });
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
    async fn confirmed(&mut self, head: Head) -> Result<u64, NetworkError> {
        let network = self.network;
        let now = Instant::now();
        let tag = match network.spec.confirmations {
            Confirmations::Blocks(blocks) => {
                let time = network.observed.borrow().block_time;
                let blocks_ = u32::try_from(blocks).unwrap_or(u32::MAX).saturating_add(1);
                self.lag.see(time.map(|time| time.saturating_mul(blocks_)), now);
                return Ok(head.block.number.saturating_sub(blocks));
            }
            Confirmations::Tag(Finality::Safe) => BlockNumberOrTag::Safe,
            Confirmations::Tag(Finality::Finalized) => BlockNumberOrTag::Finalized,
        };
        if let Some(known) = self.confirmed.filter(|known| !known.is_old(now)) {
            return Ok(known.number);
        }
        let block = header(&network.chain, tag).await?.ok_or_else(|| NetworkError::Malformed {
            endpoint: network.chain.endpoint(),
            method: "eth_getBlockByNumber",
            message: format!("it has no {tag} block; where it never has, set spec.evm.confirmations to a number"),
        })?;
        let confirmed = Confirmed::new(block.head, head, now);
        self.lag.see(confirmed.lag(), now);
        self.confirmed = Some(confirmed);
        Ok(confirmed.number)
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
