//! When blocks come, where they come as a clock strikes, and when to look for the next one. Pure.
//!
//! A look tells that a block has come since the look before: so it is known within a window when it came, and the next one
//! is due as much later as blocks are apart. Looks halve a window that is wide. Once it is narrow one look a block is
//! enough, and that lies just behind the block.

use std::time::{Duration, Instant};

/// A look comes no sooner after another one.
const SHORTEST: Duration = Duration::from_millis(50);
/// Nothing is seen later than this after it came, as long as blocks come when they are due.
const LATEST: Duration = Duration::from_secs(1);
/// A window as wide as this part of a block time, and no wider than that, is not halved any more.
const NARROW: u32 = 16;
const WIDEST: Duration = Duration::from_millis(500);
/// By this part of a block time a block may come earlier than the one before says.
const DRIFT: u32 = 512;
/// Between two looks for a block that is overdue: ever longer, up to this.
const LATE: Duration = Duration::from_millis(1500);
const LATE_AWAITED: Duration = Duration::from_secs(1);

/// When a block came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Born {
    /// It was not there; none where nobody had looked.
    after: Option<Instant>,
    by: Instant,
}

impl Born {
    fn then(self, since: Duration) -> Self {
        let after = self.after.map(|after| after + since.saturating_sub(since / DRIFT));
        Self { after, by: self.by + since }
    }
}

/// What looks have told of the newest block.
#[derive(Clone, Debug, Default)]
pub(crate) struct Beat {
    born: Option<Born>,
    /// When the last look began.
    asked: Option<Instant>,
}

impl Beat {
    /// A look showed nothing new.
    pub(crate) fn missed(&mut self, asked: Instant) {
        self.asked = Some(asked);
    }

    /// A look showed a new block, which is to come this long after the one before where blocks come regularly.
    pub(crate) fn came(&mut self, asked: Instant, since: Option<Duration>) {
        let seen = Born { after: self.asked, by: asked };
        let expected = self.born.zip(since).map(|(before, since)| before.then(since));
        let both =
            expected.map(|expected| Born { after: expected.after.max(seen.after), by: expected.by.min(seen.by) });
        // It came when it was not expected: what was known of the one before says nothing.
        let both = both.filter(|both| both.after.is_none_or(|after| after < both.by));
        (self.born, self.asked) = (Some(both.unwrap_or(seen)), Some(asked));
    }

    /// Until the next look, where blocks are so far apart.
    pub(crate) fn pause(&self, time: Duration, awaited: bool, now: Instant) -> Duration {
        let Some((born, asked)) = self.born.zip(self.asked) else { return SHORTEST };
        let due = born.by + time;
        let next = if asked >= due {
            let longest = if awaited { LATE_AWAITED } else { LATE };
            asked + ((asked - due) / 2).max(time / NARROW).clamp(SHORTEST, longest)
        } else {
            let first =
                born.after.max(born.by.checked_sub(time)).unwrap_or(born.by) + time.saturating_sub(time / DRIFT);
            let from = first.max(asked).min(due);
            let left = due - from;
            if left <= (time / NARROW).min(WIDEST) { due } else { from + (left / 2).min(LATEST) }
        };
        next.saturating_duration_since(now).max(SHORTEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn the_next_look_lies_just_behind_the_next_block_or_halves_the_time_in_which_it_may_come() {
        let t = Instant::now() + ms(100_000);
        // Block time; the newest came after the one and by the other; the last look; the next one, all in ms.
        for (time, after, by, asked, awaited, next) in [
            // Known within a little: once a block, when it is surely there.
            (2000, Some(-100), 0, 0, false, 2000),
            (12_000, Some(-400), 0, 0, false, 12_000),
            // Nobody looked before the first one.
            (2000, None, 0, 0, false, 1000),
            (2000, Some(-1000), 0, 0, false, 1498),
            // The second half of that.
            (2000, Some(-1000), 0, 1500, false, 1750),
            (2000, Some(-1000), 0, 1900, false, 2000),
            // Never more than a second on.
            (12_000, None, 0, 0, false, 1000),
            (12_000, None, 0, 5000, false, 6000),
            // Overdue: again soon, then ever later, and no later than that where something is awaited.
            (2000, Some(-100), 0, 2000, false, 2125),
            (2000, Some(-100), 0, 2400, false, 2600),
            (2000, Some(-100), 0, 12_000, false, 13_500),
            (2000, Some(-100), 0, 12_000, true, 13_000),
            (12_000, Some(-100), 0, 12_000, true, 12_750),
        ] {
            let at = |ms: i64| {
                let part = Duration::from_millis(ms.unsigned_abs());
                if ms < 0 { t.checked_sub(part).unwrap() } else { t + part }
            };
            let born = Some(Born { after: after.map(at), by: at(by) });
            let beat = Beat { born, asked: Some(at(asked)) };
            let pause = beat.pause(ms(time), awaited, at(asked));
            let (got, next) = (i64::try_from(pause.as_millis()).unwrap() + asked, next);
            assert!((got - next).abs() <= 1, "{time} {after:?} {asked}: {got} and not {next}");
        }
    }

    /// Looks at a chain whose block `n` comes at `comes(n)` us, from a moment on: how late each block was seen in ms, and
    /// the number of looks.
    fn follow(time: u64, begin: u64, blocks: u64, comes: impl Fn(u64) -> u64) -> (Vec<u64>, u64) {
        let us = Duration::from_micros;
        let t = Instant::now();
        let (mut beat, mut now, mut looks) = (Beat::default(), begin, 0);
        let (mut seen, mut late) = (None::<u64>, Vec::new());
        while seen.is_none_or(|seen| seen < blocks) {
            let (asked, head) = (now, (0..=blocks + 9).take_while(|block| comes(*block) <= now).last().unwrap());
            looks += 1;
            now += 5000;
            if seen == Some(head) {
                beat.missed(t + us(asked));
            } else {
                let since = seen.map(|seen| ms(time) * u32::try_from(head - seen).unwrap());
                beat.came(t + us(asked), since);
                late.extend(seen.map(|_| (asked - comes(head)) / 1000));
                assert!(seen.is_none_or(|seen| head == seen + 1), "block {head} was seen after {seen:?}");
                seen = Some(head);
            }
            now += u64::try_from(beat.pause(ms(time), false, t + us(now)).as_micros()).unwrap();
        }
        (late, looks)
    }

    #[test]
    fn every_block_is_seen_soon_with_little_more_than_one_look_a_block_wherever_the_looks_begin() {
        for (time, soon) in [(1500, 150), (2000, 200), (5000, 400), (12_000, 700)] {
            for begin in (0..time).step_by(usize::try_from(time / 40).unwrap()) {
                let (late, looks) = follow(time, begin * 1000, 400, |block| block * time * 1000);
                let most = *late.iter().max().unwrap();
                assert!(most <= 1000, "{time} {begin}: seen {most} ms late");
                let most = *late[3..].iter().max().unwrap();
                assert!(most <= soon, "{time} {begin}: seen {most} ms late after the first blocks");
                assert!(looks <= 440 + 12, "{time} {begin}: {looks} looks for 400 blocks");
            }
        }
    }

    #[test]
    fn blocks_that_come_unevenly_or_at_a_slowly_changing_rate_are_seen_within_a_second() {
        let uneven = |block: u64| (block * 2000 + block * 7919 % 150) * 1000;
        let very = |block: u64| (block * 2000 + block * 7919 % 700) * 1000;
        let slow = |block: u64| block * 2_003_000;
        let fast = |block: u64| block * 1_996_000;
        let pausing = |block: u64| (block * 2000 + block / 60 * 700) * 1000;
        let cases: [(&str, &dyn Fn(u64) -> u64); 5] =
            [("uneven", &uneven), ("very", &very), ("slow", &slow), ("fast", &fast), ("pausing", &pausing)];
        for (what, comes) in cases {
            let (late, looks) = follow(2000, 333_000, 400, comes);
            let most = late.iter().max().unwrap();
            assert!(*most <= 1000, "{what}: seen {most} ms late");
            let mean = late.iter().sum::<u64>() / 400;
            assert!(mean <= 400, "{what}: seen {mean} ms late on average");
            assert!(looks <= 480, "{what}: {looks} looks for 400 blocks");
        }
    }
}
