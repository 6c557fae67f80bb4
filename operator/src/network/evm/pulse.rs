//! The one poller of a chain's head. Everything else waits for the head that it shows.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use alloy::{eips::BlockNumberOrTag, primitives::U256, rpc::types::Block as RpcBlock};
use tokio_util::sync::CancellationToken;

use super::{
    Inner,
    connect::Chain,
    endpoint::Trouble,
    read::timestamp,
    watchdog::{Verdict, Watchdog},
};
use crate::network::{Block, Connection, Disconnected, Head, NetworkError};

/// Longest pause while no endpoint answers.
const LONGEST_BACKOFF: Duration = Duration::from_secs(15);
/// How often the endpoints that are not in use are looked at.
const TEND_EVERY: Duration = Duration::from_secs(30);

pub(super) async fn run(network: Arc<Inner>, stop: CancellationToken) {
    let mut watchdog = Watchdog::new(network.spec.stall);
    let mut backoff = Duration::ZERO;
    let mut tended: Option<Instant> = None;
    loop {
        let pause = match stop.run_until_cancelled(head(&network.chain)).await {
            None => return,
            Some(Ok(head)) => {
                backoff = Duration::ZERO;
                saw(&network, &mut watchdog, head).await;
                watchdog.pause()
            }
            Some(Err(error)) => {
                tracing::debug!(%error, "no head");
                disconnected(&network, network.chain.trouble());
                backoff = (backoff * 2).clamp(watchdog.pause(), LONGEST_BACKOFF);
                backoff
            }
        };
        if tended.is_none_or(|at| at.elapsed() >= TEND_EVERY) {
            tended = Some(Instant::now());
            let head = network.observed.borrow().head.map_or(0, |head| head.block.number);
            network.chain.tend(head).await;
        }
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
    }
}

async fn saw(network: &Inner, watchdog: &mut Watchdog, head: Head) {
    match watchdog.see(head, Instant::now()) {
        Verdict::Moved => {
            network.chain.has_shown(head.time);
            let balance = balance(network).await;
            network.observed.send_modify(|observed| {
                observed.connection = Connection::Connected { endpoint: network.chain.endpoint() };
                observed.chain_id = network.chain.answered_chain_id();
                observed.head = Some(head);
                observed.balance = balance.or(observed.balance);
            });
        }
        Verdict::Same => {
            let connection = Connection::Connected { endpoint: network.chain.endpoint() };
            network.observed.send_if_modified(|observed| {
                // A head that stalled is well again only once it moves.
                let stalled =
                    matches!(observed.connection, Connection::Disconnected { reason: Disconnected::HeadStalled, .. });
                let changed = !stalled && observed.connection != connection;
                if changed {
                    observed.connection = connection;
                }
                changed
            });
        }
        Verdict::Stalled => {
            // Without a running number: it would wake everybody at each look.
            let message = format!(
                "its newest block is still {}, for more than {} s",
                head.block.number,
                watchdog.patience().as_secs(),
            );
            network.chain.turn_away(&message);
            disconnected(network, network.chain.trouble());
        }
    }
}

fn disconnected(network: &Inner, trouble: Trouble) {
    let connection = Connection::Disconnected { reason: trouble.reason, message: trouble.message };
    network.observed.send_if_modified(|observed| {
        let chain_id = network.chain.answered_chain_id();
        let changed = observed.connection != connection || observed.chain_id != chain_id;
        observed.connection = connection;
        observed.chain_id = chain_id;
        changed
    });
}

async fn balance(network: &Inner) -> Option<U256> {
    network.chain.ask("eth_getBalance", (network.wallet.address(), BlockNumberOrTag::Latest)).await.ok()
}

async fn head(chain: &Chain) -> Result<Head, NetworkError> {
    match header(chain, BlockNumberOrTag::Latest).await? {
        Some(head) => Ok(head),
        None => Err(NetworkError::Malformed {
            endpoint: chain.endpoint(),
            method: "eth_getBlockByNumber",
            message: "there is no newest block".to_owned(),
        }),
    }
}

/// A block's header; none where the endpoint doesn't have the block (yet).
pub(super) async fn header(chain: &Chain, which: BlockNumberOrTag) -> Result<Option<Head>, NetworkError> {
    let block: Option<RpcBlock> = chain.ask("eth_getBlockByNumber", (which, false)).await?;
    Ok(block.map(|block| Head {
        block: Block { number: block.header.number, hash: block.header.hash },
        time: timestamp(block.header.timestamp),
        seen: Instant::now(),
        base_fee: block.header.base_fee_per_gas,
        gas_limit: block.header.gas_limit,
    }))
}
