//! Tells a chain that moves from one that stands still, and says when to look again. Pure.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::{beat::Beat, block::Head};

/// Assumed until a block time was seen: Ethereum's own.
const BLOCK_TIME: Duration = Duration::from_secs(12);
/// Between two looks while a transaction is awaited on a chain whose blocks come when they will.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Between two looks where nothing is awaited, at least.
const IDLE: Duration = Duration::from_millis(1500);
/// Longest pause whatever the block time is.
const LONGEST: Duration = Duration::from_secs(15);
/// Blocks that come regularly, and no faster than this, are looked at one by one.
const FOLLOWED: Duration = Duration::from_secs(1);
/// Block times that are remembered; this many of them say how regular blocks come.
const REMEMBERED: usize = 9;
const ENOUGH: usize = 4;

/// When a head that doesn't move is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StallLimit {
    /// After this many block times (as measured on the chain) ...
    pub blocks: u32,
    /// ... but not before this time: a fast chain pauses now and then.
    pub at_least: Duration,
}

impl Default for StallLimit {
    fn default() -> Self {
        Self { blocks: 10, at_least: Duration::from_secs(30) }
    }
}

/// What a look at the head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadHealth {
    /// There is a newer block, or another one at the tip.
    Moved,
    /// The same block as before, or an older one.
    Same,
    /// The same for too long.
    Stalled,
}

/// Remembers the newest head and how fast heads come.
#[derive(Clone, Debug)]
pub struct Watchdog {
    limit: StallLimit,
    newest: Option<Head>,
    /// The last one seen, where it lies behind the newest.
    lower: Option<Head>,
    block_time: Option<Duration>,
    times: VecDeque<Duration>,
    beat: Beat,
}

impl Watchdog {
    /// Nothing was seen yet.
    pub fn new(limit: StallLimit) -> Self {
        let (times, beat) = (VecDeque::new(), Beat::default());
        Self { limit, newest: None, lower: None, block_time: None, times, beat }
    }

    /// Looks at a head that was just read; `asked` is when the look began.
    pub fn see(&mut self, head: Head, asked: Instant, now: Instant) -> HeadHealth {
        let mut since = None;
        if let Some(newest) = self.newest {
            let same_height = head.block.number == newest.block.number;
            if head.block.number < newest.block.number || (same_height && head.block.hash == newest.block.hash) {
                self.beat.missed(asked);
                let since = now.duration_since(newest.seen);
                if since < self.stall_after() {
                    return HeadHealth::Same;
                }
                // Whatever showed the newest is not heard of any more, and this one's head moves: it is the chain's.
                let moves = self.lower.is_some_and(|lower| lower.block.number < head.block.number);
                self.lower = (!same_height).then_some(head);
                if !moves || same_height {
                    return HeadHealth::Stalled;
                }
            } else {
                self.learn(newest, head);
                since = self.apart(newest, head);
            }
        }
        (self.newest, self.lower) = (Some(head), None);
        self.beat.came(asked, since);
        HeadHealth::Moved
    }

    /// Learns from blocks before the first head: in rising order.
    pub fn learn_past(&mut self, heads: &[Head]) {
        for (from, to) in heads.iter().zip(heads.iter().skip(1)) {
            self.learn(*from, *to);
        }
    }

    /// How long a head may stay the same.
    pub fn stall_after(&self) -> Duration {
        self.block_time().saturating_mul(self.limit.blocks).max(self.limit.at_least)
    }

    /// Pause before the next look, which depends on whether a block is `awaited`.
    pub fn pause(&self, awaited: bool, now: Instant) -> Duration {
        if self.newest.is_none() {
            return LONGEST_PAUSE;
        }
        match self.followed() {
            Some(time) => self.beat.pause(time, awaited, now).min(LONGEST),
            None if awaited => (self.block_time() / 8).clamp(SHORTEST_PAUSE, LONGEST_PAUSE),
            None => IDLE,
        }
    }

    /// The time between blocks where each of them is looked at.
    fn followed(&self) -> Option<Duration> {
        self.regular().filter(|time| *time >= FOLLOWED)
    }

    /// How long after one block another one is to come, by the chain's own times: some may have been left out.
    fn apart(&self, from: Head, to: Head) -> Option<Duration> {
        let time = self.followed().filter(|_| to.block.number > from.block.number)?;
        let elapsed = Duration::try_from(to.time.duration_since(from.time)).ok()?;
        let times = (elapsed + time / 2).as_nanos().checked_div(time.as_nanos())?.max(1);
        Some(time.saturating_mul(u32::try_from(times).ok()?))
    }

    /// The usual time between blocks, where most come as regular as that.
    pub fn regular(&self) -> Option<Duration> {
        if self.times.len() < ENOUGH {
            return None;
        }
        let mut times: Vec<_> = self.times.iter().copied().collect();
        times.sort_unstable();
        let usual = *times.get(times.len() / 2)?;
        let near = times.iter().filter(|time| **time * 2 >= usual && **time <= usual * 3 / 2).count();
        (!usual.is_zero() && near * 4 >= times.len() * 3).then_some(usual)
    }

    fn block_time(&self) -> Duration {
        self.block_time.unwrap_or(BLOCK_TIME)
    }

    fn learn(&mut self, from: Head, to: Head) {
        let blocks = u32::try_from(to.block.number.saturating_sub(from.block.number)).unwrap_or(u32::MAX);
        let Ok(elapsed) = Duration::try_from(to.time.duration_since(from.time)) else { return };
        let Some(sample) = elapsed.checked_div(blocks) else { return };
        if self.times.len() == REMEMBERED {
            self.times.pop_front();
        }
        self.times.push_back(sample);
        // A quarter of the newest: steady enough, and right again within a few blocks of a change.
        self.block_time = Some(self.block_time.map_or(sample, |known| (known * 3 + sample) / 4));
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::B256;
    use jiff::Timestamp;

    use super::*;
    use crate::Block;

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

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_head_that_stays_is_stalled_after_ten_block_times() {
        let (mut dog, t) = (Watchdog::new(LIMIT), Instant::now());
        let mut see = |head: Head| dog.see(head, head.seen, head.seen);
        let s = Duration::from_secs;
        assert_eq!(see(head(1, 1, 100, t)), HeadHealth::Moved);
        assert_eq!(see(head(2, 2, 102, t)), HeadHealth::Moved);
        assert_eq!(see(head(2, 2, 102, t + s(19))), HeadHealth::Same);
        assert_eq!(see(head(2, 2, 102, t + s(20))), HeadHealth::Stalled);
        assert_eq!(see(head(3, 3, 130, t + s(21))), HeadHealth::Moved);
    }

    #[test]
    fn an_older_head_does_not_count_as_moving_and_another_tip_does() {
        let (mut dog, t) = (Watchdog::new(LIMIT), Instant::now());
        dog.see(head(5, 5, 100, t), t, t);
        assert_eq!(dog.see(head(4, 4, 98, t), t, t), HeadHealth::Same);
        assert_eq!(dog.see(head(5, 6, 100, t), t, t), HeadHealth::Moved);
    }

    #[test]
    fn a_head_that_nobody_shows_again_is_left_for_one_that_moves() {
        let (mut dog, t) = (Watchdog::new(LIMIT), Instant::now());
        dog.see(head(4, 4, 100, t), t, t);
        dog.see(head(1_000_000, 5, 102, t), t, t);
        let stall_after = dog.stall_after();
        let mut at = |number: u64, after: Duration| {
            let head = head(number, 9, 104, t + after);
            dog.see(head, head.seen, head.seen)
        };
        assert_eq!(at(6, stall_after.saturating_sub(ms(1))), HeadHealth::Same);
        assert_eq!(at(7, stall_after), HeadHealth::Stalled, "it may be one that lags");
        assert_eq!(at(7, stall_after + ms(1)), HeadHealth::Stalled, "it stands still");
        assert_eq!(at(8, stall_after + ms(2)), HeadHealth::Moved);
        assert_eq!(at(9, stall_after + ms(3)), HeadHealth::Moved);
    }

    #[test]
    fn a_chain_faster_than_the_shortest_limit_keeps_that_limit_and_is_not_asked_all_the_time() {
        let (mut dog, t) = (Watchdog::new(LIMIT), Instant::now());
        for number in 0..20_u8 {
            dog.see(head(number.into(), number, 100, t), t, t);
        }
        assert_eq!(dog.stall_after(), LIMIT.at_least);
        assert_eq!((dog.pause(true, t), dog.pause(false, t)), (SHORTEST_PAUSE, IDLE));
    }

    #[test]
    fn each_block_of_a_regular_chain_is_looked_for_when_it_is_due() {
        let t = Instant::now();
        for (time, awaited, pause) in [
            (60, false, LONGEST),
            (12, false, ms(12_000)),
            (2, false, ms(2000)),
            (2, true, ms(2000)),
            (1, false, ms(1000)),
            (0, false, IDLE),
            (0, true, SHORTEST_PAUSE),
        ] {
            let mut dog = Watchdog::new(LIMIT);
            for number in 0..12 {
                let second = i64::try_from(number * time).unwrap();
                // The look before showed that it was not there yet.
                let at = t + Duration::from_secs(number * time);
                if let Some(newest) = dog.newest {
                    let just_before = at.checked_sub(ms(20)).unwrap();
                    dog.see(newest, just_before, just_before);
                }
                dog.see(head(number, 1, second, at), at, at);
            }
            let last = dog.newest.unwrap().seen;
            assert_eq!(dog.pause(awaited, last), pause, "{time} s, awaited: {awaited}");
        }
    }

    #[test]
    fn a_block_that_was_left_out_does_not_shift_the_beat() {
        let t = Instant::now();
        let mut dog = Watchdog::new(LIMIT);
        let heads: Vec<_> = (1..).zip([0, 12, 24, 36, 48]).map(|(number, s)| head(number, 1, s, t)).collect();
        dog.learn_past(&heads);
        for (to, second, apart) in
            [(6, 60, Some(12)), (6, 72, Some(24)), (7, 72, Some(24)), (6, 50, Some(12)), (5, 48, None)]
        {
            assert_eq!(dog.apart(heads[4], head(to, 2, second, t)), apart.map(Duration::from_secs), "{to} {second}");
        }
    }

    #[test]
    fn blocks_that_come_when_somebody_sends_are_not_regular() {
        for (seconds, regular) in [
            (&[0, 2, 4, 6, 8, 10][..], Some(2)),
            (&[0, 12, 24, 48, 60, 72], Some(12)),
            (&[0, 2, 4], None),
            (&[0, 0, 0, 1, 90, 91, 400], None),
            (&[0, 0, 0, 0, 0, 0], None),
        ] {
            let (mut dog, t) = (Watchdog::new(LIMIT), Instant::now());
            let heads: Vec<_> = (1..).zip(seconds).map(|(number, second)| head(number, 1, *second, t)).collect();
            dog.learn_past(&heads);
            assert_eq!(dog.regular(), regular.map(Duration::from_secs), "{seconds:?}");
        }
    }

    #[test]
    fn nothing_is_known_of_a_chain_at_first() {
        let dog = Watchdog::new(LIMIT);
        assert_eq!(dog.pause(false, Instant::now()), LONGEST_PAUSE);
        assert_eq!(dog.stall_after(), Duration::from_mins(2));
    }
}
