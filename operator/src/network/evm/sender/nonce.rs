//! Which nonce to send with when nothing of this process is in flight. Pure.

/// Transactions of the wallet that this process didn't send, waiting in the pool: an earlier operator's, or those of
/// somebody else with the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Foreign {
    /// The nonce that is mined next.
    next: u64,
    /// Block at which that was noticed.
    since: u64,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// Send with this nonce.
    Use(u64),
    /// Wait for what is in the pool: it may do what is asked for.
    Wait(Foreign),
}

/// Blocks to wait for a foreign transaction before it counts as stuck and is replaced.
const STUCK: u64 = 5;

/// Chooses from the wallet's count of mined transactions, its count with those in the pool, and what was seen before.
pub(super) fn choose(mined: u64, pooled: u64, head: u64, before: Option<Foreign>) -> Choice {
    if pooled <= mined {
        return Choice::Use(mined);
    }
    match before {
        None => Choice::Wait(Foreign { next: mined, since: head }),
        Some(before) if before.next != mined => Choice::Use(pooled),
        Some(before) if head.saturating_sub(before.since) >= STUCK => Choice::Use(mined),
        Some(before) => Choice::Wait(before),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nonce_follows_what_is_mined_and_what_waits() {
        let noticed = Foreign { next: 4, since: 100 };
        let cases = [
            (4, 4, 100, None, Choice::Use(4), "an empty pool"),
            (4, 3, 100, None, Choice::Use(4), "a pool that lags"),
            (4, 6, 100, None, Choice::Wait(noticed), "something waits: noticed"),
            (4, 6, 101, Some(noticed), Choice::Wait(noticed), "it still waits"),
            (4, 6, 105, Some(noticed), Choice::Use(4), "it is stuck: replaced"),
            (6, 6, 101, Some(noticed), Choice::Use(6), "it was mined"),
            (5, 8, 101, Some(noticed), Choice::Use(8), "somebody else sends all the time: queue behind"),
        ];
        for (mined, pooled, head, before, expected, why) in cases {
            assert_eq!(choose(mined, pooled, head, before), expected, "{why}");
        }
    }
}
