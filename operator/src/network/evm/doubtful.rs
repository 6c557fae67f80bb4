//! Blocks of which an endpoint that is asked by ranges said near the head that nothing of ours is in them. A node that lags
//! says the same of a block that it does not have, and which one of several behind an address answers, nobody tells: such
//! blocks are read once more when every node has them. Pure.

use std::{collections::BTreeSet, ops::RangeInclusive};

use super::ranges::is_near;

/// So many block numbers are read again in one request: below the narrowest limit of common providers.
const TOGETHER: u64 = 8;

#[derive(Debug, Default)]
pub(super) struct Doubtful(BTreeSet<u64>);

impl Doubtful {
    pub(super) fn add(&mut self, number: u64) {
        self.0.insert(number);
    }

    pub(super) fn has(&self, number: u64) -> bool {
        self.0.contains(&number)
    }

    /// What to read again now: from the first such block, once it and those after it lie far enough behind the head, and all of
    /// them were read before: later ones are not believed yet.
    pub(super) fn due(&self, read: u64, head: u64) -> Option<RangeInclusive<u64>> {
        let first = *self.0.first()?;
        let last = first.saturating_add(TOGETHER - 1);
        (last <= read && !is_near(last, head)).then_some(first..=last)
    }

    /// These were read again.
    pub(super) fn settle(&mut self, range: &RangeInclusive<u64>) {
        self.0.retain(|number| !range.contains(number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubtful_blocks_are_read_again_together_once_the_last_of_them_is_deep() {
        let mut doubtful = Doubtful::default();
        assert_eq!(doubtful.due(u64::MAX, 1_000), None);
        for number in [100, 103, 107, 108] {
            doubtful.add(number);
        }
        assert_eq!(doubtful.due(u64::MAX, 122), None, "107 is near the head");
        assert_eq!(doubtful.due(106, 1_000), None, "107 is not believed yet");
        assert_eq!(doubtful.due(107, 123), Some(100..=107));
        doubtful.settle(&(100..=103));
        assert_eq!(doubtful.due(u64::MAX, 123), None);
        assert_eq!(doubtful.due(u64::MAX, 130), Some(107..=114));
        assert!(doubtful.has(108) && !doubtful.has(103));
        doubtful.settle(&(107..=114));
        assert_eq!(doubtful.due(u64::MAX, u64::MAX), None);
    }
}
