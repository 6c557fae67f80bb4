//! Whether to ask for logs now, from what the blocks' headers say of them. Pure.
//!
//! A header's bloom can say for certain that a block holds nothing of ours. That is trusted to wait with the question,
//! never to leave it out, and only after a header told of any log, until one does not tell of ours: some chains leave blooms
//! empty. Where headers say nothing each block is asked about: later the question would be no cheaper, near the head it
//! is one a block.

use std::time::Duration;

use super::headers::Hint;

/// Blocks and time after which logs are asked for though nothing is expected.
const MOST_UNREAD: u64 = 16;
const LONGEST: Duration = Duration::from_secs(12);

/// Whether headers tell of logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Hints {
    #[default]
    Untried,
    Trusted,
    Wrong,
}

/// The confirmed blocks that were not read yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unread {
    pub(super) blocks: u64,
    /// So many of the first hold nothing of ours.
    quiet: u64,
    /// One of them may hold something of ours.
    expected: bool,
    /// Of one of them nothing is known.
    unknown: bool,
}

impl Hints {
    /// A log of the market was read; `told`: whether its block's header tells of one, where it is at hand.
    pub(super) fn learn(&mut self, told: Option<bool>) {
        *self = match (*self, told) {
            (_, Some(false)) | (Self::Wrong, _) => Self::Wrong,
            (Self::Untried, Some(true)) => Self::Trusted,
            (known, _) => known,
        };
    }

    /// Blocks were seen, of which some header tells of logs, be they whose they may: the chain does not leave blooms empty.
    pub(super) fn try_out(&mut self, tells: impl FnOnce() -> bool) {
        if *self == Self::Untried && tells() {
            *self = Self::Trusted;
        }
    }

    pub(super) fn unread(self, after: u64, confirmed: u64, hint: impl Fn(u64) -> Option<Hint>) -> Unread {
        let blocks = confirmed.saturating_sub(after);
        let mut unread = Unread { blocks, quiet: 0, expected: false, unknown: false };
        if self != Self::Trusted || blocks > MOST_UNREAD {
            return Unread { unknown: blocks > 0, ..unread };
        }
        for number in after.saturating_add(1)..=confirmed {
            match hint(number) {
                Some(Hint::No) if !unread.expected && !unread.unknown => unread.quiet += 1,
                Some(Hint::No) => {}
                Some(Hint::Perhaps) => unread.expected = true,
                Some(Hint::Unknown) | None => unread.unknown = true,
            }
        }
        unread
    }
}

impl Unread {
    /// Whether to ask for logs, so long after that was done last.
    pub(super) fn is_due(self, since: Option<Duration>) -> bool {
        let Some(since) = since else { return self.blocks > 0 };
        self.expected || self.unknown || self.blocks >= MOST_UNREAD || self.blocks > 0 && since >= LONGEST
    }

    /// When to ask though no further block comes; none where all was read.
    pub(super) fn waits(self, since: Option<Duration>) -> Option<Duration> {
        (self.blocks > 0).then(|| LONGEST.saturating_sub(since.unwrap_or_default()))
    }

    /// The last of the blocks after `after` before which nothing of ours is expected.
    pub(super) const fn quiet_until(self, after: u64) -> u64 {
        after.saturating_add(self.quiet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unread(hints: Hints, said: &[Hint]) -> Unread {
        hints.unread(100, 100 + said.len() as u64, |number| said.get(usize::try_from(number).unwrap() - 101).copied())
    }

    #[test]
    fn logs_are_asked_for_at_once_where_something_may_be_there_and_seldom_where_nothing_is() {
        use Hint::{No, Perhaps, Unknown};
        use Hints::{Trusted, Untried, Wrong};
        for (hints, said, since, due) in [
            (Trusted, vec![], 100, false),
            (Trusted, vec![No], 2, false),
            (Trusted, vec![No; 15], 11, false),
            (Trusted, vec![No], 12, true),
            (Trusted, vec![No; 16], 2, true),
            (Trusted, vec![No, Perhaps], 0, true),
            (Trusted, vec![No, Unknown], 0, true),
            (Trusted, vec![No, No, No, No, Unknown], 0, true),
            (Trusted, vec![No; 500], 0, true),
            (Untried, vec![No], 0, true),
            (Wrong, vec![No; 5], 0, true),
            (Wrong, vec![], 100, false),
        ] {
            let is_due = unread(hints, &said).is_due(Some(Duration::from_secs(since)));
            assert_eq!(is_due, due, "{hints:?} {said:?} {since}");
            let waits = unread(hints, &said).waits(Some(Duration::from_secs(since)));
            assert_eq!(waits.is_some(), !said.is_empty(), "what was not read is read though no block comes");
            if let Some(waits) = waits {
                assert!(unread(hints, &said).is_due(Some(Duration::from_secs(since) + waits)), "{hints:?} {said:?}");
            }
        }
        assert!(unread(Untried, &[No]).is_due(None), "nothing was read yet");
    }

    #[test]
    fn blooms_that_tell_of_anything_are_trusted_until_they_do_not_tell_of_ours() {
        use Hints::{Trusted, Untried, Wrong};
        for (before, tells, after) in
            [(Untried, false, Untried), (Untried, true, Trusted), (Wrong, true, Wrong), (Trusted, false, Trusted)]
        {
            let mut hints = before;
            hints.try_out(|| tells);
            assert_eq!(hints, after, "{before:?} {tells}");
        }
    }

    #[test]
    fn blocks_before_the_first_that_may_hold_something_are_read_together() {
        use Hint::{No, Perhaps, Unknown};
        for (said, quiet) in
            [(vec![No, No, Perhaps, No], 102), (vec![Perhaps, No], 100), (vec![No, Unknown, No], 101), (vec![], 100)]
        {
            assert_eq!(unread(Hints::Trusted, &said).quiet_until(100), quiet, "{said:?}");
            assert_eq!(unread(Hints::Untried, &said).quiet_until(100), 100, "{said:?}");
        }
    }

    #[test]
    fn headers_are_trusted_once_they_told_and_never_after_they_did_not() {
        use Hints::{Trusted, Untried, Wrong};
        for (before, told, after) in [
            (Untried, None, Untried),
            (Untried, Some(true), Trusted),
            (Untried, Some(false), Wrong),
            (Trusted, None, Trusted),
            (Trusted, Some(false), Wrong),
            (Wrong, Some(true), Wrong),
        ] {
            let mut hints = before;
            hints.learn(told);
            assert_eq!(hints, after, "{before:?} {told:?}");
        }
    }
}
