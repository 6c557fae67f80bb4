//! Reads orders, ends, top-ups and withdrawals from the chain's logs: by ranges of confirmed blocks, from a cursor whose
//! block is checked each time. Where the blocks' headers say that nothing of ours is in them, that is asked for seldom.

use std::{
    collections::BTreeSet,
    fmt,
    ops::RangeInclusive,
    time::{Duration, Instant},
};

use alloy::{
    eips::BlockNumberOrTag,
    providers::Provider,
    rpc::types::{Filter, Log},
};
use hawser_crds::{Confirmations, Finality};
use hawser_evm::{BlockSpan, methods};

use super::{
    Inner,
    confirmed::{Confirmed, Lag},
    doubtful::Doubtful,
    head::header,
    headers::Hint,
    hints::{Hints, Unread},
    holes::{At, given, header_by_hash},
    lock,
    log_cursor::{self, LogCursor, is_near},
    logs::{Withdrawal, order, withdrawal},
    withdrawal_totals::WithdrawalTotals,
};
use crate::network::evm::{Block, Cursor, EvmError, EvmOrder, Head};

const SHORTEST_BACKOFF: Duration = Duration::from_millis(250);
const LONGEST_BACKOFF: Duration = Duration::from_secs(15);
/// What fails for so long does not pass by itself within a block or two.
const WORTH_TELLING: Duration = Duration::from_secs(4);

/// What one look brought.
enum Look {
    /// What happened up to a block; perhaps nothing.
    Read(NewLogs),
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

/// What concerns the provider in what was read.
struct NewLogs {
    orders: Vec<EvmOrder>,
    withdrawals: Vec<Withdrawal>,
    read: Extent,
}

/// What was read.
enum Extent {
    /// All after the cursor, up to a block.
    To(Block),
    /// Blocks before the cursor, once more.
    Again(RangeInclusive<u64>),
}

pub(super) async fn run<S, F, E>(network: &Inner, from: Option<Cursor>, handler: S)
where
    S: Fn(Vec<EvmOrder>) -> F,
    F: Future<Output = Result<(), E>>,
    E: fmt::Display,
{
    let cursor = LogCursor::new(from, network.spec.start_block);
    let at = cursor.at().number;
    let (doubtful, withdrawn) = {
        let observed = network.observed.borrow();
        (Doubtful::of_past(&observed.doubtful, at), observed.withdrawn.clone())
    };
    let mut watcher = Watcher {
        network,
        totals: WithdrawalTotals::new(withdrawn, at, doubtful.numbers().clone()),
        cursor,
        span: BlockSpan::new(log_cursor::WIDEST),
        hints: Hints::default(),
        looked_up: None,
        by_range: false,
        doubtful,
        read: None,
        confirmed: None,
        lag: Lag::default(),
    };
    let mut heads = network.observed.subscribe();
    let mut backoff = Duration::ZERO;
    loop {
        let head = heads.borrow_and_update().head;
        let failed = match watcher.look(head).await {
            Ok(Look::Read(new_logs)) => watcher.deliver(new_logs, &handler).await.err(),
            Ok(Look::Reorg) => {
                let left = watcher.cursor.at();
                watcher.step_back();
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
    cursor: LogCursor,
    totals: WithdrawalTotals,
    span: BlockSpan,
    hints: Hints,
    /// The last block whose header was asked for.
    looked_up: Option<u64>,
    /// The endpoint does not know how to give the logs of a block by its hash.
    by_range: bool,
    doubtful: Doubtful,
    /// When logs were last read.
    read: Option<Instant>,
    /// The last answer to what is safe or final.
    confirmed: Option<Confirmed>,
    lag: Lag,
}

impl Watcher<'_> {
    async fn look(&mut self, head: Option<Head>) -> Result<Look, EvmError> {
        let Some(head) = head else { return Ok(Look::UpToDate(None)) };
        if let Some(range) = self.doubtful.due(self.cursor.at().number, head.block.number) {
            return self.read_again(&range, head.block.number).await;
        }
        let confirmed = self.confirmed(head).await?;
        let at = self.cursor.at();
        let unread = self.unread(at.number, confirmed);
        self.note_unread(unread.blocks);
        let since = self.read.map(|at| at.elapsed());
        if !unread.is_due(since) {
            return Ok(Look::UpToDate(unread.waits(since)));
        }
        let quiet = unread.quiet_until(at.number);
        let next = quiet.saturating_add(1);
        if next <= confirmed && is_near(next, head.block.number) && self.read_header(next).await? {
            return Ok(Look::Otherwise);
        }
        let Some(range) = log_cursor::next(self.span.width(), at.number, confirmed, head.block.number, quiet) else {
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
            Err(error @ EvmError::Answer { .. }) => {
                if self.span.refused(&range) {
                    return Ok(Look::Again);
                }
                // A node that lags refuses too; it must not pass for an endpoint that knows ranges only.
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
        // Never asked twice in one look: what was refused above was asked for by its hash.
        if alone && self.by_range && logs.is_empty() {
            if self.lacks(to).await? {
                return Ok(Look::Again);
            }
            // The node that has the block may be another one than that which told nothing of it.
            if !self.doubtful.add(to.number) {
                return Ok(Look::Again);
            }
        }
        self.span.answered();
        self.read = Some(Instant::now());
        self.learn(&logs, Extent::To(to)).await
    }

    /// Reads doubtful blocks once more.
    async fn read_again(&mut self, due: &RangeInclusive<u64>, head: u64) -> Result<Look, EvmError> {
        let Some(range) = log_cursor::next(self.span.width(), due.start().saturating_sub(1), *due.end(), head, 0)
        else {
            self.doubtful.settle(due);
            return Ok(Look::Otherwise);
        };
        let filter = lock(&self.network.ours).filter().from_block(*range.start()).to_block(*range.end());
        match self.network.pool.provider().get_logs(&filter).await.map_err(EvmError::from) {
            Ok(logs) => self.learn(&logs, Extent::Again(range)).await,
            Err(EvmError::Answer { .. }) if self.span.refused(&range) => Ok(Look::Again),
            // New orders are not held up by what may be in an old block.
            Err(error @ EvmError::Answer { .. }) => {
                tracing::warn!(block = range.start(), %error, "logs of a block that may have been missed can't be read");
                self.doubtful.settle(&range);
                Ok(Look::Otherwise)
            }
            Err(error) => Err(error),
        }
    }

    /// Reads the header of a block that nobody saw when it was the newest: that is one request, its logs by its hash are two.
    /// False where it would tell nothing new.
    async fn read_header(&mut self, number: u64) -> Result<bool, EvmError> {
        let known = lock(&self.network.headers).likely(number).is_some();
        if known || self.hints != Hints::Trusted || self.looked_up == Some(number) {
            return Ok(false);
        }
        self.looked_up = Some(number);
        let Some(header) = given(&self.network.pool, number).await? else { return Ok(false) };
        lock(&self.network.headers).put_past(&header);
        Ok(true)
    }

    /// Whether the node that answers has not the block: one of several behind an address lags, and what it says of the
    /// block's logs is nothing.
    async fn lacks(&self, block: Block) -> Result<bool, EvmError> {
        Ok(header_by_hash(&self.network.pool, block.hash).await?.is_none())
    }

    /// By hash, a node behind the same address that lags can't answer with nothing.
    async fn logs(&self, filter: Filter, from: u64, to: Block, by_hash: bool) -> Result<Vec<Log>, EvmError> {
        let filter = if by_hash { filter.at_block_hash(to.hash) } else { filter.from_block(from).to_block(to.number) };
        Ok(self.network.pool.provider().get_logs(&filter).await?)
    }

    async fn learn(&mut self, logs: &[Log], read: Extent) -> Result<Look, EvmError> {
        let market = self.network.spec.market;
        let numbers: BTreeSet<u64> =
            logs.iter().filter(|log| log.address() == market).filter_map(|log| log.block_number).collect();
        for number in numbers {
            let seen = lock(&self.network.headers).standing(number).copied();
            let header = match (seen, self.hints) {
                // Once, to find out at all.
                (None, Hints::Untried) => given(&self.network.pool, number).await?,
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
        let Some(orders) = self.network.with_specs(orders).await? else { return Ok(Look::Again) };
        if !orders.is_empty() {
            // Whoever takes them looks at each.
            let jobs: Vec<_> = orders.iter().map(|order| order.job).collect();
            self.network.read_ahead(&jobs).await?;
        }
        let withdrawals = logs.iter().filter_map(|log| withdrawal(log, &self.network.spec)).collect();
        Ok(Look::Read(NewLogs { orders, withdrawals, read }))
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

    fn note_unread(&self, unread: u64) {
        let lag = self.lag.longest(Instant::now());
        self.network.observed.send_if_modified(|observed| {
            // Nobody waits for these alone, and this watcher must not wake itself.
            (observed.unread, observed.confirmation_lag) = (Some(unread), lag);
            false
        });
    }

    async fn deliver<S, F, E>(&mut self, new_logs: NewLogs, handler: &S) -> Result<(), String>
    where
        S: Fn(Vec<EvmOrder>) -> F,
        F: Future<Output = Result<(), E>>,
        E: fmt::Display,
    {
        let NewLogs { orders, withdrawals, read } = new_logs;
        if !orders.is_empty() {
            let first = orders.first().map(|order| order.block.number);
            tracing::info!(orders = orders.len(), block = first, "orders seen");
            handler(orders).await.map_err(|error| format!("orders were not taken over: {error}"))?;
        }
        match &read {
            Extent::To(to) => {
                let after = self.cursor.at().number;
                self.totals.read(|number| after < number && number <= to.number, &withdrawals);
                self.cursor.advance(*to);
            }
            Extent::Again(range) => {
                self.totals.read(|number| range.contains(&number) && self.doubtful.has(number), &withdrawals);
                self.doubtful.settle(range);
            }
        }
        // Together: one without the other would be stored as what never was.
        self.network.observed.send_modify(|observed| {
            if let Extent::To(to) = &read {
                observed.cursor = Some(*to);
            }
            observed.doubtful.clone_from(self.doubtful.numbers());
            observed.withdrawn = self.totals.sums();
        });
        Ok(())
    }

    fn step_back(&mut self) {
        self.cursor.step_back();
        let at = self.cursor.at().number;
        self.totals.step_back(at);
        self.doubtful.step_back(at);
    }

    /// The last block whose orders are believed.
    async fn confirmed(&mut self, head: Head) -> Result<u64, EvmError> {
        let network = self.network;
        let now = Instant::now();
        let tag = match network.spec.confirmations {
            Confirmations::Blocks(blocks) => {
                let time = network.observed.borrow().block_time;
                let passed = u32::try_from(blocks).unwrap_or(u32::MAX).saturating_add(1);
                self.lag.see(time.map(|time| time.saturating_mul(passed)), now);
                return Ok(head.block.number.saturating_sub(blocks));
            }
            Confirmations::Tag(Finality::Safe) => BlockNumberOrTag::Safe,
            Confirmations::Tag(Finality::Finalized) => BlockNumberOrTag::Finalized,
        };
        if let Some(known) = self.confirmed.filter(|known| !known.is_old(now)) {
            return Ok(known.number);
        }
        let block = header(&network.pool, tag).await?.ok_or_else(|| {
            let message = format!("it has no {tag} block; where it never has, set spec.evm.confirmations to a number");
            network.pool.malformed(methods::BLOCK_BY_NUMBER, message)
        })?;
        let confirmed = Confirmed::new(block.head, head, now);
        self.lag.see(confirmed.lag(), now);
        self.confirmed = Some(confirmed);
        Ok(confirmed.number)
    }
}
