//! Logs in ranges of blocks that endpoints answer.

use std::ops::RangeInclusive;

use alloy::{
    providers::{Provider, RootProvider},
    rpc::types::{Filter, Log},
};

use crate::error::Error;

/// How many blocks to ask for at once. Halved when an endpoint refuses, doubled again when it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockSpan {
    width: u64,
    widest: u64,
    /// This many answers in a row double it.
    answers_to_double: u32,
    answered: u32,
}

impl BlockSpan {
    /// The widest is tried first.
    pub const fn new(widest: u64) -> Self {
        Self { width: widest, widest, answers_to_double: 1, answered: 0 }
    }

    /// Doubled only after this many answers in a row.
    #[must_use]
    pub const fn doubled_after(self, answers: u32) -> Self {
        Self { answers_to_double: answers, ..self }
    }

    /// Blocks in the next range.
    pub const fn width(&self) -> u64 {
        self.width
    }

    /// A request was refused. False where it can't be made smaller.
    pub fn refused(&mut self, asked: &RangeInclusive<u64>) -> bool {
        let width = (asked.end() - asked.start()).saturating_add(1);
        (self.width, self.answered) = (width.min(self.width).div_ceil(2), 0);
        width > 1
    }

    /// A request was answered.
    pub fn answered(&mut self) {
        self.answered += 1;
        if self.answered >= self.answers_to_double {
            (self.width, self.answered) = (self.width.saturating_mul(2).min(self.widest), 0);
        }
    }
}

/// Which blocks of a period are asked for next.
#[derive(Clone, Debug)]
struct Ranges {
    /// None after the last block that there can be.
    next: Option<u64>,
    last: u64,
    span: BlockSpan,
}

impl Ranges {
    /// After this many answers in a row a range that was refused once is doubled again: one dense stretch of the chain must
    /// not make all of the rest slow.
    const ANSWERS_TO_DOUBLE: u32 = 8;

    fn new(period: &RangeInclusive<u64>, longest: u64) -> Self {
        let span = BlockSpan::new(longest.max(1)).doubled_after(Self::ANSWERS_TO_DOUBLE);
        Self { next: Some(*period.start()), last: *period.end(), span }
    }

    fn current(&self) -> Option<RangeInclusive<u64>> {
        let from = self.next.filter(|from| *from <= self.last)?;
        Some(from..=self.last.min(from.saturating_add(self.span.width() - 1)))
    }

    fn answered(&mut self, range: &RangeInclusive<u64>) {
        self.next = range.end().checked_add(1);
        self.span.answered();
    }
}

/// Logs of a period, a range at a time, so that no more than one range is held.
#[derive(Debug)]
pub struct LogPages<'a> {
    provider: &'a RootProvider,
    filter: Filter,
    ranges: Ranges,
}

impl<'a> LogPages<'a> {
    /// At most `longest` blocks at a time.
    pub fn new(provider: &'a RootProvider, filter: Filter, period: RangeInclusive<u64>, longest: u64) -> Self {
        Self { provider, filter, ranges: Ranges::new(&period, longest) }
    }

    /// The next range's logs, in the order of the chain; none at the end. Endpoints refuse wide ranges in words and codes
    /// of their own: whatever they refuse is asked for in halves, down to one block.
    ///
    /// # Errors
    /// Where one block is refused, or nobody answers.
    pub async fn next(&mut self) -> Result<Option<Vec<Log>>, Error> {
        while let Some(range) = self.ranges.current() {
            let filter = self.filter.clone().from_block(*range.start()).to_block(*range.end());
            match self.provider.get_logs(&filter).await.map_err(Error::from) {
                Ok(logs) => {
                    self.ranges.answered(&range);
                    return Ok(Some(logs));
                }
                Err(Error::Answer { .. }) if self.ranges.span.refused(&range) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_range_is_halved_down_to_one_block() {
        let mut span = BlockSpan::new(2_000);
        let mut asked = Vec::new();
        loop {
            let range = 1..=span.width().min(100);
            asked.push(*range.end());
            if !span.refused(&range) {
                break;
            }
        }
        assert_eq!(asked, [100, 50, 25, 13, 7, 4, 2, 1]);
    }

    #[test]
    fn an_answered_range_grows_again_up_to_the_widest() {
        let mut span = BlockSpan::new(2_000);
        span.refused(&(1..=2));
        assert_eq!(span.width(), 1);
        span.answered();
        assert_eq!(span.width(), 2);
        (0..80).for_each(|_| span.answered());
        assert_eq!(span, BlockSpan::new(2_000));
    }

    /// What is asked of a node that answers at most `limit` blocks at once.
    fn asked(mut ranges: Ranges, limit: u64) -> Vec<(u64, u64)> {
        let mut answered = Vec::new();
        while let Some(range) = ranges.current() {
            if range.end() - range.start() < limit {
                answered.push((*range.start(), *range.end()));
                ranges.answered(&range);
            } else if !ranges.span.refused(&range) {
                break;
            }
        }
        answered
    }

    #[test]
    fn every_block_is_asked_for_once_whatever_the_node_refuses() {
        for (from, to) in [(0, 0), (5, 5), (0, 99), (17, 1000), (u64::MAX - 3, u64::MAX)] {
            for (limit, longest) in [(1, 1), (1, 64), (3, 1000), (7, 10), (u64::MAX, u64::MAX), (u64::MAX, 9)] {
                let ranges = asked(Ranges::new(&(from..=to), longest), limit);
                assert_eq!(ranges.first().map(|range| range.0), Some(from), "{limit} {longest}");
                assert_eq!(ranges.last().map(|range| range.1), Some(to), "{limit} {longest}");
                assert!(ranges.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0), "{ranges:?}");
                assert!(ranges.iter().all(|(from, to)| to - from < longest), "{ranges:?}");
            }
        }
    }

    #[test]
    fn one_block_that_is_refused_ends_it() {
        let mut ranges = Ranges::new(&(3..=4), 100);
        let first = ranges.current().unwrap();
        assert!(ranges.span.refused(&first));
        assert_eq!(ranges.current(), Some(3..=3));
        assert!(!ranges.span.refused(&(3..=3)));
    }

    #[test]
    fn a_range_grows_again_after_a_dense_stretch() {
        let mut ranges = Ranges::new(&(0..=1_000_000), 64);
        for _ in 0..6 {
            let range = ranges.current().unwrap();
            ranges.span.refused(&range);
        }
        assert_eq!(ranges.span.width(), 1);
        for _ in 0..Ranges::ANSWERS_TO_DOUBLE * 6 {
            let range = ranges.current().unwrap();
            ranges.answered(&range);
        }
        assert_eq!(ranges.span.width(), 64);
    }
}
