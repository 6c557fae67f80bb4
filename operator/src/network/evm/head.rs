//! The one poller of a chain's head. Everything else waits for the head that it shows.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use alloy::{eips::BlockNumberOrTag, primitives::U256, providers::Provider, rpc::types::Block as RpcBlock};
use hawser_evm::{HeadHealth, Pool, Reason, Unavailable, Watchdog, methods};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{Inner, headers::Header, lock};
use crate::network::evm::{Block, Connection, Disconnected, EvmError, Head};

/// Longest pause while no endpoint answers.
const LONGEST_BACKOFF: Duration = Duration::from_secs(15);
/// How often the endpoints that are not in use are looked at.
const PROBE_EVERY: Duration = Duration::from_secs(30);
/// How often the wallet is looked into, and how often an empty one.
const BALANCE_EVERY: Duration = Duration::from_secs(20);
const EMPTY_EVERY: Duration = Duration::from_secs(4);
/// Blocks before the first head that tell how regular blocks come.
const PAST: u64 = 5;
/// Blocks between two heads that are read afterwards.
const MOST_MISSED: u64 = 4;

struct Poller {
    network: Arc<Inner>,
    watchdog: Watchdog,
    probed: Option<Instant>,
    weighed: Option<Instant>,
}

pub(super) async fn run(network: Arc<Inner>, stop: CancellationToken) {
    let watchdog = Watchdog::new(network.spec.stall);
    let mut poller = Poller { network: Arc::clone(&network), watchdog, probed: None, weighed: None };
    let mut backoff = Duration::ZERO;
    loop {
        let asked = Instant::now();
        let pause = match stop.run_until_cancelled(head(&network.pool)).await {
            None => return,
            Some(Ok(header)) => {
                backoff = Duration::ZERO;
                poller.saw(&header, asked).await;
                poller.pause()
            }
            Some(Err(error)) => {
                tracing::debug!(%error, "no head");
                if !matches!(error, EvmError::Unavailable(_)) {
                    network.pool.demote(&error.to_string());
                }
                // One that only limits us is slow, and not away.
                if network.pool.is_away() {
                    disconnected(&network, &network.pool.unavailable());
                }
                backoff = (backoff * 2).clamp(poller.pause(), LONGEST_BACKOFF);
                backoff
            }
        };
        poller.probe_spares().await;
        let sleep = async {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = network.sent.notified() => tokio::time::sleep(pause.min(poller.pause())).await,
            }
        };
        if stop.run_until_cancelled(sleep).await.is_none() {
            return;
        }
    }
}

impl Poller {
    /// Until the next look.
    fn pause(&self) -> Duration {
        let awaited = lock(&self.network.queue).oldest_sent().is_some();
        self.watchdog.pause(awaited, Instant::now())
    }

    async fn probe_spares(&mut self) {
        if self.probed.is_some_and(|at| at.elapsed() < PROBE_EVERY) {
            return;
        }
        self.probed = Some(Instant::now());
        let head = self.network.observed.borrow().head.map_or(0, |head| head.block.number);
        self.network.pool.probe_spares(head).await;
    }

    async fn saw(&mut self, header: &Header, asked: Instant) {
        let (network, head) = (Arc::clone(&self.network), header.head);
        let first = network.observed.borrow().head.is_none();
        if first {
            self.read_earlier_headers(header).await;
        }
        match self.watchdog.see(head, asked, Instant::now()) {
            HeadHealth::Moved => {
                network.pool.has_shown(head.block.number, head.time);
                if network.pool.is_ahead_alone(head.time) {
                    network.pool.demote("its newest block lies in the future, and another endpoint's doesn't");
                    return;
                }
                self.fill(header).await;
                let balance = self.balance().await;
                let skew = (!first).then(|| Timestamp::now().as_second() - head.time.as_second());
                network.observed.send_modify(|observed| {
                    observed.connection = Connection::Connected { endpoint: network.pool.endpoint() };
                    observed.chain_id = network.pool.answered_chain_id();
                    observed.head = Some(head);
                    observed.balance = balance.or(observed.balance);
                    observed.block_time = self.watchdog.regular();
                    observed.clock_skew = skew.or(observed.clock_skew);
                });
            }
            HeadHealth::Stalled if self.is_stuck(head) => {
                // Without a running number: it would wake everybody at each look.
                let message = format!(
                    "its newest block is still {}, for more than {} s",
                    head.block.number,
                    self.watchdog.stall_after().as_secs(),
                );
                network.pool.demote(&message);
                disconnected(&network, &network.pool.unavailable());
            }
            HeadHealth::Same | HeadHealth::Stalled => self.same(),
        }
    }

    /// Whether a head that stands still is the endpoint's fault. A chain that makes blocks only for transactions is quiet:
    /// there it takes an endpoint that is ahead, or a transaction of ours that is not mined.
    fn is_stuck(&self, head: Head) -> bool {
        let sent = lock(&self.network.queue).oldest_sent();
        self.watchdog.regular().is_some_and(|time| time >= Duration::from_secs(1))
            || self.network.pool.is_behind_others(head.block.number)
            || sent.is_some_and(|sent| sent.elapsed() >= self.watchdog.stall_after())
    }

    fn same(&self) {
        let connection = Connection::Connected { endpoint: self.network.pool.endpoint() };
        let regular = self.watchdog.regular().is_some();
        self.network.observed.send_if_modified(|observed| {
            // A head that stalled is well again only once it moves.
            let stalled = regular
                && matches!(observed.connection, Connection::Disconnected { reason: Disconnected::HeadStalled, .. });
            let changed = !stalled && observed.connection != connection;
            if changed {
                observed.connection = connection;
            }
            changed
        });
    }

    /// Keeps a new head, and the few blocks before it that came too fast to be seen one by one: without them nothing would
    /// rest on anything for some blocks, and each would be asked for alone.
    async fn fill(&self, header: &Header) {
        let before = self.network.observed.borrow().head.map(|head| head.block);
        let number = header.head.block.number;
        // Where the one rests on the other, numbers between them have no block.
        let before = before.filter(|before| before.hash != header.parent);
        let missed = before.map_or(number, |before| before.number.saturating_add(1))..number;
        if missed.end.saturating_sub(missed.start) <= MOST_MISSED {
            for number in missed {
                if let Ok(Some(header)) = self::header(&self.network.pool, number.into()).await {
                    lock(&self.network.headers).put(&header);
                }
            }
        }
        lock(&self.network.headers).put(header);
    }

    /// Reads some blocks before the first head: whether blocks come regularly, and what rests on what.
    async fn read_earlier_headers(&mut self, first: &Header) {
        let number = first.head.block.number;
        let mut heads = Vec::new();
        for number in number.saturating_sub(PAST)..number {
            // Nothing is lost without it.
            if let Ok(Some(header)) = header(&self.network.pool, number.into()).await {
                lock(&self.network.headers).put(&header);
                heads.push(header.head);
            }
        }
        heads.push(first.head);
        self.watchdog.learn_past(&heads);
    }

    async fn balance(&mut self) -> Option<U256> {
        let known = self.network.observed.borrow().balance;
        let every = if known.is_none_or(|balance| balance.is_zero()) { EMPTY_EVERY } else { BALANCE_EVERY };
        if self.weighed.is_some_and(|at| at.elapsed() < every) {
            return None;
        }
        let balance = self.network.pool.provider().get_balance(self.network.wallet.address()).await.ok();
        self.weighed = balance.is_some().then(Instant::now);
        balance
    }
}

fn disconnected(network: &Inner, why: &Unavailable) {
    let reason = match why.reason() {
        Reason::Connecting => Disconnected::Connecting,
        Reason::Unreachable => Disconnected::Unreachable,
        Reason::HeadStalled => Disconnected::HeadStalled,
        Reason::NoContract => Disconnected::NoMarket,
        Reason::WrongChain => Disconnected::WrongChain,
    };
    let connection = Connection::Disconnected { reason, message: why.to_string() };
    network.observed.send_if_modified(|observed| {
        let chain_id = network.pool.answered_chain_id();
        let changed = observed.connection != connection || observed.chain_id != chain_id;
        observed.connection = connection;
        observed.chain_id = chain_id;
        changed
    });
}

async fn head(pool: &Pool) -> Result<Header, EvmError> {
    let head = header(pool, BlockNumberOrTag::Latest).await?;
    head.ok_or_else(|| pool.malformed(methods::BLOCK_BY_NUMBER, "there is no newest block").into())
}

/// A block's header; none where the endpoint doesn't have the block (yet).
pub(super) async fn header(pool: &Pool, which: BlockNumberOrTag) -> Result<Option<Header>, EvmError> {
    let block = pool.provider().get_block_by_number(which).await?;
    Ok(block.as_ref().map(header_of))
}

pub(super) fn header_of(block: &RpcBlock) -> Header {
    let header = &block.header;
    let head = Head {
        block: Block { number: header.number, hash: header.hash },
        time: hawser_market::timestamp(header.timestamp),
        seen: Instant::now(),
        base_fee: header.base_fee_per_gas,
        gas_limit: header.gas_limit,
    };
    Header { head, parent: header.parent_hash, bloom: header.logs_bloom }
}

impl Inner {
    /// A block on which the newest one rests: out of memory where it was seen, otherwise read.
    pub(super) async fn block_at(&self, number: u64) -> Result<Option<Block>, EvmError> {
        let seen = lock(&self.headers).standing(number).map(|header| header.head.block);
        match seen {
            Some(block) => Ok(Some(block)),
            None => Ok(header(&self.pool, number.into()).await?.map(|header| header.head.block)),
        }
    }
}
