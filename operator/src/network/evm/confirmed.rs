//! How far behind the head lies what is safe or final, and how long an order waits for it. Pure.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::network::evm::Head;

/// What is safe or final is asked for after this part of the time that it lies behind, and no more seldom than this.
const PART: u32 = 32;
const SELDOM: Duration = Duration::from_secs(12);
/// The longest wait of so long counts: finality comes in steps, and the first order after one waits longest.
const WINDOW: Duration = Duration::from_mins(40);
const SLOTS: usize = 4;

/// The last confirmed block, as it was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Confirmed {
    pub(super) number: u64,
    behind: Duration,
    asked: Instant,
}

impl Confirmed {
    pub(super) fn new(block: Head, head: Head, asked: Instant) -> Self {
        let behind = Duration::try_from(head.time.duration_since(block.time)).unwrap_or_default();
        Self { number: block.block.number, behind, asked }
    }

    fn pause(&self) -> Duration {
        (self.behind / PART).min(SELDOM)
    }

    pub(super) fn is_old(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.asked) >= self.pause()
    }

    /// How long an order would have waited that was placed just after the confirmed block. A young chain shows its genesis
    /// where nothing is confirmed yet: that block has any time, 0 on some, and no order was placed just after it.
    pub(super) fn lag(&self) -> Option<Duration> {
        (self.number > 0).then(|| self.behind + self.pause())
    }
}

/// The longest waits of the last while.
#[derive(Debug, Default)]
pub(super) struct Lag(VecDeque<(Instant, Duration)>);

impl Lag {
    pub(super) fn see(&mut self, lag: Option<Duration>, now: Instant) {
        let Some(lag) = lag else { return };
        match self.0.back_mut() {
            Some((since, longest)) if now.saturating_duration_since(*since) < WINDOW / 4 => {
                *longest = lag.max(*longest);
            }
            _ => self.0.push_back((now, lag)),
        }
        if self.0.len() > SLOTS {
            self.0.pop_front();
        }
    }

    pub(super) fn longest(&self, now: Instant) -> Option<Duration> {
        let recent = self.0.iter().filter(|(since, _)| now.saturating_duration_since(*since) < WINDOW * 2);
        recent.map(|(_, lag)| *lag).max()
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::B256;
    use jiff::Timestamp;

    use super::*;
    use crate::network::evm::Block;

    fn head(number: u64, second: i64, seen: Instant) -> Head {
        let block = Block { number, hash: B256::ZERO };
        Head { block, time: Timestamp::from_second(second).unwrap(), seen, base_fee: None, gas_limit: 1 }
    }

    #[test]
    fn what_lies_far_behind_is_asked_for_seldom_and_what_is_final_at_once_is_asked_for_each_time() {
        let t = Instant::now();
        for (behind, pause) in [(0, 0), (64, 2), (384, 12), (1200, 12), (-5, 0)] {
            let confirmed = Confirmed::new(head(1, 0, t), head(9, behind, t), t);
            let pause = Duration::from_secs(pause);
            assert!(confirmed.is_old(t + pause), "{behind}");
            assert!(
                pause.is_zero() || !confirmed.is_old(t + pause.saturating_sub(Duration::from_millis(1))),
                "{behind}"
            );
        }
    }

    #[test]
    fn where_only_the_genesis_is_final_nothing_is_known_of_the_wait() {
        let t = Instant::now();
        let lag = |number, second| Confirmed::new(head(number, second, t), head(31, 1_800_000_384, t), t).lag();
        assert_eq!(lag(0, 0), None, "a genesis of the year 1970");
        assert_eq!(lag(1, 1_800_000_000), Some(Duration::from_secs(384 + 12)));
    }

    #[test]
    fn the_longest_wait_of_the_last_while_counts() {
        let (mut lag, t) = (Lag::default(), Instant::now());
        let (s, m) = (Duration::from_secs, Duration::from_mins);
        assert_eq!(lag.longest(t), None);
        for (after, seconds) in [(m(0), 400), (m(1), 780), (m(7), 390), (m(12), 770)] {
            lag.see(Some(s(seconds)), t + after);
        }
        assert_eq!(lag.longest(t + m(12)), Some(s(780)));
        (13..60).for_each(|minute| lag.see(Some(s(300)), t + m(minute)));
        assert_eq!(lag.longest(t + m(60)), Some(s(300)));
        lag.see(None, t + m(61));
        assert_eq!(lag.longest(t + m(61)), Some(s(300)), "not measured");
    }
}
