//! What may be spent on transactions that others cause: so many in a row, and another one after a while. Kept as one moment
//! of the wall clock, which stands in the offer's status and so outlasts the process that spends. Pure.

use std::time::{Duration, Instant};

use jiff::Timestamp;

/// One moment by both clocks. What one process waits for goes by the clock that never jumps; what outlasts it, by the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    pub steady: Instant,
    pub wall: Timestamp,
}

impl Now {
    pub(crate) fn read() -> Self {
        Self { steady: Instant::now(), wall: Timestamp::now() }
    }

    #[cfg(test)]
    pub(crate) fn after(self, passed: Duration) -> Self {
        Self { steady: self.steady + passed, wall: self.wall + passed }
    }
}

/// How much may be spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Measure {
    /// So much in a row.
    pub burst: u32,
    /// Another one after each of these.
    pub refill: Duration,
}

impl Measure {
    fn refill_seconds(self) -> i64 {
        i64::try_from(self.refill.as_secs()).unwrap_or(i64::MAX).max(1)
    }

    /// How long it takes until all of it is back.
    fn whole_seconds(self) -> i64 {
        self.refill_seconds().saturating_mul(self.burst.into())
    }
}

/// What is left of a measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allowance {
    measure: Measure,
    /// Unix second at which all of it is back.
    full_at: i64,
}

impl Allowance {
    pub(crate) const fn full(measure: Measure) -> Self {
        Self { measure, full_at: i64::MIN }
    }

    /// Takes over what an earlier process had spent.
    pub(crate) fn learn(&mut self, full_at: Option<Timestamp>, now: Timestamp) {
        self.full_at = self.full_at.max(full_at.map_or(i64::MIN, Timestamp::as_second));
        self.bound(now);
    }

    pub(crate) fn left(&mut self, now: Timestamp) -> u32 {
        self.bound(now);
        let missing = self.full_at.saturating_sub(now.as_second()).max(0);
        let spent = missing.unsigned_abs().div_ceil(self.measure.refill_seconds().unsigned_abs());
        self.measure.burst.saturating_sub(u32::try_from(spent).unwrap_or(u32::MAX))
    }

    /// Spends one, if need be one that is not left: then it takes no longer than before until all is back.
    pub(crate) fn spend(&mut self, now: Timestamp) {
        self.full_at = self.full_at.max(now.as_second()).saturating_add(self.measure.refill_seconds());
        self.bound(now);
    }

    /// When all of it will be back; none where it is.
    pub(crate) fn full_at(&self, now: Timestamp) -> Option<Timestamp> {
        Timestamp::from_second(self.full_at).ok().filter(|full_at| *full_at > now)
    }

    /// A clock that was set back locks nobody out for longer than it takes until all is back.
    fn bound(&mut self, now: Timestamp) {
        self.full_at = self.full_at.min(now.as_second().saturating_add(self.measure.whole_seconds()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    /// Five in a row, and one more every ten minutes: at most 149 a day.
    const MEASURE: Measure = Measure { burst: 5, refill: Duration::from_mins(10) };
    const MOST_A_DAY: i64 = 5 + DAY / (10 * MINUTE);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    #[test]
    fn what_was_spent_is_back_one_by_one() {
        let mut allowance = Allowance::full(MEASURE);
        assert_eq!((allowance.left(at(0)), allowance.full_at(at(0))), (5, None));
        for left in [4, 3, 2, 1, 0, 0] {
            allowance.spend(at(0));
            assert_eq!(allowance.left(at(0)), left);
        }
        assert_eq!(allowance.full_at(at(0)), Some(at(50 * MINUTE)), "no longer than for all of it");
        for (second, left) in [(10 * MINUTE - 1, 0), (10 * MINUTE, 1), (49 * MINUTE, 4), (50 * MINUTE, 5), (DAY, 5)] {
            assert_eq!(allowance.left(at(second)), left, "after {second} s");
        }
        assert_eq!(allowance.full_at(at(50 * MINUTE)), None, "what is past stands in no status");
    }

    /// What is spent in a day by whoever spends whatever is left, once a second. The process dies after each `lives`
    /// seconds, and what it has spent in its last `unsaved` seconds is in no status.
    fn spent_in_a_day(lives: i64, unsaved: i64) -> i64 {
        let (mut allowance, mut status, mut spent) = (Allowance::full(MEASURE), None, 0);
        for second in 0..DAY {
            if second % lives == 0 {
                allowance = Allowance::full(MEASURE);
                allowance.learn(status, at(second));
            }
            if allowance.left(at(second)) > 0 {
                allowance.spend(at(second));
                spent += 1;
            }
            if second % lives < lives - unsaved {
                status = allowance.full_at(at(second));
            }
        }
        spent
    }

    #[test]
    fn a_flood_spends_no_more_a_day_however_often_the_process_begins_anew() {
        for (lives, unsaved) in [(DAY, 0), (HOUR, 0), (MINUTE, 0), (1, 0), (HOUR, 2), (10 * MINUTE, 1)] {
            let spent = spent_in_a_day(lives, unsaved);
            let lost = DAY / lives * unsaved;
            assert!(spent > 5 && spent <= MOST_A_DAY + lost, "{lives} {unsaved}: {spent}");
        }
    }

    #[test]
    fn a_clock_that_jumps_locks_nobody_out_and_gives_no_more_than_a_burst() {
        // Spent at 0; so far the clock jumps then; what is left, and after a whole refill.
        for (jump, left, later) in [(0, 3, 5), (-MINUTE, 2, 5), (-DAY, 0, 5), (-1000 * DAY, 0, 5), (1000 * DAY, 5, 5)] {
            for restarted in [false, true] {
                let mut allowance = Allowance::full(MEASURE);
                allowance.spend(at(0));
                allowance.spend(at(0));
                if restarted {
                    let status = allowance.full_at(at(0));
                    allowance = Allowance::full(MEASURE);
                    allowance.learn(status, at(jump));
                }
                assert_eq!(allowance.left(at(jump)), left, "{jump}");
                let stands = allowance.full_at(at(jump));
                allowance.left(at(jump + MINUTE));
                assert_eq!(
                    allowance.full_at(at(jump)),
                    stands,
                    "a status that changes with each look is written each time"
                );
                assert_eq!(allowance.left(at(jump + 50 * MINUTE)), later, "{jump}");
            }
        }
    }

    #[test]
    fn what_an_earlier_process_spent_counts_with_what_this_one_has() {
        let mut allowance = Allowance::full(MEASURE);
        allowance.spend(at(0));
        allowance.learn(Some(at(30 * MINUTE)), at(0));
        assert_eq!(allowance.left(at(0)), 2);
        allowance.learn(Some(at(10 * MINUTE)), at(0));
        allowance.learn(None, at(0));
        assert_eq!(allowance.left(at(0)), 2, "an older status gives nothing back");
    }
}
