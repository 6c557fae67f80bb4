//! What was last seen of a network: connection, head, wallet, clock.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use alloy::primitives::{Address, U256};
use hawser_evm::{Block, Head};
use jiff::{SignedDuration, Timestamp};

use super::{Connection, WalletError, Withdrawn};

/// What was last seen of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvmStatus {
    /// Whether it can be seen now.
    pub connection: Connection,
    /// Chain id that the last endpoint answered with, right or wrong.
    pub chain_id: Option<u64>,
    /// The newest block ever seen.
    pub head: Option<Head>,
    /// The operator's wallet.
    pub wallet: Address,
    /// The wallet's coins, in wei.
    pub balance: Option<U256>,
    /// Why something that is to be sent is not signed; none where nothing waits for a signature.
    pub signer_trouble: Option<WalletError>,
    /// Gas that the wallet has paid, in wei, with what earlier processes knew of.
    pub gas_spent: U256,
    /// Why orders can't be read or handed over, where that has failed several times; none while all is well.
    pub orders_trouble: Option<String>,
    /// Up to here every order was seen and taken over; keep it for [`watch_orders`](super::Network::watch_orders).
    pub cursor: Option<Block>,
    /// Blocks up to the cursor that are to be read once more: a node that lags may have told nothing of them.
    pub doubtful: BTreeSet<u64>,
    /// What was withdrawn up to the cursor, whoever asked for it.
    pub withdrawn: Withdrawn,
    /// Confirmed blocks that were not read yet; none before the chain was looked at.
    pub unread: Option<u64>,
    /// How long after its block an order is believed, at most, as far as that was measured.
    pub confirmation_lag: Option<Duration>,
    /// The usual time between blocks, where they come regularly.
    pub block_time: Option<Duration>,
    /// Seconds by which this machine's clock was ahead of the newest block's time when that was first seen; a block's way
    /// here is part of it.
    pub clock_skew: Option<i64>,
    /// Why everything that is queued waits: the chain asks for more than the cap on fees.
    pub fee_obstacle: Option<String>,
}

/// This machine's clock may be so many seconds off before it counts as wrong. A block's own time may
/// lie 15 s in the future on Ethereum.
const CLOCK_BEHIND: i64 = 20;
const CLOCK_AHEAD: i64 = 60;

impl EvmStatus {
    /// The chain's time now: the newest block's own, and what has passed since it was seen, by a clock that nobody can set.
    pub fn time_now(&self, now: Instant) -> Option<Timestamp> {
        let head = self.head?;
        let since = SignedDuration::try_from(now.saturating_duration_since(head.seen)).ok()?;
        head.time.checked_add(since).ok()
    }

    /// The chain's time: that of its newest block. On a chain that makes blocks only for transactions, what the block that
    /// is made next would say: time goes on there, too, though no block tells of it.
    pub fn chain_time(&self, now: Instant) -> Option<Timestamp> {
        if self.block_time.is_some() { self.head.map(|head| head.time) } else { self.time_now(now) }
    }

    /// Whether this machine's clock agrees with the chain's; none before a block came.
    pub fn clock_in_sync(&self) -> Option<bool> {
        let slow =
            self.block_time.map_or(0, |time| i64::try_from(time.as_secs()).unwrap_or(i64::MAX).saturating_mul(3));
        self.clock_skew.map(|skew| (-CLOCK_BEHIND..=CLOCK_AHEAD.max(slow)).contains(&skew))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::network::Disconnected;

    pub(crate) fn status() -> EvmStatus {
        EvmStatus {
            connection: Connection::Disconnected { reason: Disconnected::Connecting, message: String::new() },
            chain_id: None,
            head: None,
            wallet: Address::ZERO,
            balance: None,
            signer_trouble: None,
            gas_spent: U256::ZERO,
            orders_trouble: None,
            cursor: None,
            doubtful: BTreeSet::new(),
            withdrawn: Withdrawn::default(),
            unread: None,
            confirmation_lag: None,
            block_time: None,
            clock_skew: None,
            fee_obstacle: None,
        }
    }

    #[test]
    fn a_clock_is_off_by_more_than_a_blocks_own_time_may_be() {
        for (block_time, skew, expected) in [
            (None, None, None),
            (None, Some(0), Some(true)),
            (None, Some(60), Some(true)),
            (None, Some(61), Some(false)),
            (None, Some(-20), Some(true)),
            (None, Some(-21), Some(false)),
            // Blocks are a minute apart.
            (Some(60), Some(180), Some(true)),
            (Some(60), Some(181), Some(false)),
        ] {
            let seen = EvmStatus { block_time: block_time.map(Duration::from_secs), clock_skew: skew, ..status() };
            assert_eq!(seen.clock_in_sync(), expected, "{block_time:?} {skew:?}");
        }
    }
}
