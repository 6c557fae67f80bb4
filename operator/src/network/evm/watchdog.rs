//! Tells a chain that moves from one that stands still. Pure.

use std::time::{Duration, Instant};

use crate::network::{Head, StallLimit};

/// Assumed until a block time was seen: Ethereum's own.
const BLOCK_TIME: Duration = Duration::from_secs(12);
/// Bounds of the pause between two looks at the head.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What a look at the head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// There is a newer block, or another one at the tip.
    Moved,
    /// The same block as before, or an older one.
    Same,
    /// The same for too long.
    Stalled,
}

/// Remembers the newest head and how fast heads come.
#[derive(Clone, Debug)]
pub(super) struct Watchdog {
    limit: StallLimit,
    newest: Option<Head>,
    block_time: Option<Duration>,
}

impl Watchdog {
    pub(super) const fn new(limit: StallLimit) -> Self {
        Self { limit, newest: None, block_time: None }
    }

    /// Looks at a head that was just read.
    pub(super) fn see(&mut self, head: Head, now: Instant) -> Verdict {
        if let Some(newest) = self.newest {
            let same_height = head.block.number == newest.block.number;
            if head.block.number < newest.block.number || (same_height && head.block.hash == newest.block.hash) {
                let since = now.duration_since(newest.seen);
                return if since >= self.patience() { Verdict::Stalled } else { Verdict::Same };
            }
            self.learn(newest, head);
        }
        self.newest = Some(head);
        Verdict::Moved
    }

    /// How long a head may stay the same.
    pub(super) fn patience(&self) -> Duration {
        self.block_time().saturating_mul(self.limit.blocks).max(self.limit.at_least)
    }

    /// Pause before the next look: a fraction of the block time.
    pub(super) fn pause(&self) -> Duration {
        (self.block_time() / 8).clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
    }

    fn block_time(&self) -> Duration {
        self.block_time.unwrap_or(BLOCK_TIME)
    }

    fn learn(&mut self, from: Head, to: Head) {
        let blocks = u32::try_from(to.block.number - from.block.number).unwrap_or(u32::MAX);
        let Ok(elapsed) = Duration::try_from(to.time.duration_since(from.time)) else { return };
        let Some(sample) = elapsed.checked_div(blocks) else { return };
        // A quarter of the newest: steady enough, and right again within a few blocks of a change.
        self.block_time = Some(self.block_time.map_or(sample, |known| (known * 3 + sample) / 4));
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::B256;
    use jiff::Timestamp;

    use super::*;
    use crate::network::Block;

    const LIMIT: StallLimit = StallLimit { blocks: 10, at_least: Duration::from_secs(5) };

    fn head(number: u64, hash: u8, second: i64, seen: Instant) -> Head {
        Head {
            block: Block { number, hash: B256::repeat_byte(hash) },
            time: Timestamp::from_second(second).unwrap(),
            seen,
            base_fee: Some(1),
            gas_limit: 30_000_000,
        }
    }

    #[test]
    fn a_head_that_stays_is_stalled_after_ten_block_times() {
        let (mut dog, t) = (Watchdog::new(LIMIT), Instant::now());
        let s = Duration::from_secs;
        assert_eq!(dog.see(head(1, 1, 100, t), t), Verdict::Moved);
        assert_eq!(dog.see(head(2, 2, 102, t), t), Verdict::Moved);
        assert_eq!(dog.see(head(2, 2, 102, t + s(19)), t + s(19)), Verdict::Same);
        assert_eq!(dog.see(head(2, 2, 102, t + s(20)), t + s(20)), Verdict::Stalled);
        assert_eq!(dog.see(head(3, 3, 130, t + s(21)), t + s(21)), Verdict::Moved);
    }

    #[test]
    fn an_older_head_does_not_count_as_moving_and_another_tip_does() {
        let (mut dog, t) = (Watchdog::new(LIMIT), Instant::now());
        dog.see(head(5, 5, 100, t), t);
        assert_eq!(dog.see(head(4, 4, 98, t), t), Verdict::Same);
        assert_eq!(dog.see(head(5, 6, 100, t), t), Verdict::Moved);
    }

    #[test]
    fn a_chain_faster_than_the_shortest_limit_keeps_that_limit() {
        let (mut dog, t) = (Watchdog::new(LIMIT), Instant::now());
        for number in 0..20_u8 {
            dog.see(head(number.into(), number, 100, t), t);
        }
        assert_eq!(dog.patience(), LIMIT.at_least);
        assert_eq!(dog.pause(), SHORTEST_PAUSE);
    }

    #[test]
    fn a_slow_chain_is_looked_at_once_a_second() {
        assert_eq!(Watchdog::new(LIMIT).pause(), LONGEST_PAUSE);
        assert_eq!(Watchdog::new(LIMIT).patience(), Duration::from_mins(2));
    }
}
