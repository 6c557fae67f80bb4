//! Blocks of which an endpoint that is asked by ranges said near the head that nothing of ours is in them. A node that lags
//! says the same of a block that it does not have, and which one of several behind an address answers, nobody tells: such
//! blocks are read once more when every node has them. The cursor goes on past them, so their numbers are stored with it:
//! the process may end before they are read. Pure.

use std::{collections::BTreeSet, ops::RangeInclusive};

use super::log_cursor::is_near;

/// So many block numbers are read again in one request: below the narrowest limit of common providers.
const TOGETHER: u64 = 8;
/// So many fit in the network's status. There are no more: those that lie so far apart are due.
const MOST: usize = hawser_crds::MAX_DOUBTFUL;

#[derive(Debug, Default)]
pub(super) struct Doubtful(BTreeSet<u64>);

impl Doubtful {
    /// Those of an earlier process that its cursor has passed; the others are read in any case.
    pub(super) fn of_past(stored: &BTreeSet<u64>, cursor: u64) -> Self {
        Self(stored.range(..=cursor).copied().collect())
    }

    /// False where there is no room for it: it is to be read when those before it are.
    #[must_use]
    pub(super) fn add(&mut self, number: u64) -> bool {
        let fits = self.0.len() < MOST || self.0.contains(&number);
        if fits {
            self.0.insert(number);
        }
        fits
    }

    pub(super) fn has(&self, number: u64) -> bool {
        self.0.contains(&number)
    }

    /// To be stored with the cursor.
    pub(super) const fn numbers(&self) -> &BTreeSet<u64> {
        &self.0
    }

    /// What lies after the cursor is read again by itself.
    pub(super) fn step_back(&mut self, cursor: u64) {
        self.0.retain(|number| *number <= cursor);
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
            assert!(doubtful.add(number));
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

    #[test]
    fn what_an_earlier_process_doubted_and_passed_is_doubted_still() {
        let mut doubtful = Doubtful::of_past(&BTreeSet::from([90, 100, 101]), 100);
        assert_eq!(doubtful.numbers(), &BTreeSet::from([90, 100]), "101 is still to be read");
        doubtful.step_back(95);
        assert_eq!(doubtful.numbers(), &BTreeSet::from([90]), "100 is read anew after a reorganisation");
    }

    #[test]
    fn no_more_are_doubted_than_have_room_in_the_status_and_none_is_passed_over() {
        let mut doubtful = Doubtful::default();
        let most = u64::try_from(MOST).unwrap();
        assert!((0..most).all(|number| doubtful.add(number * 2)));
        assert!(!doubtful.add(most * 2), "the cursor does not pass it");
        assert!(doubtful.add(0), "it is there");
        let due = doubtful.due(most * 2, most * 2).expect("the first of them is deep by then");
        doubtful.settle(&due);
        assert!(doubtful.add(most * 2));
    }
}
