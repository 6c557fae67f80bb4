//! Logs in ranges of blocks that the node answers.

use alloy::{
    providers::Provider,
    rpc::types::{Filter, Log},
    transports::{RpcError, TransportError},
};

use super::{Market, Period, endpoint::is_rate_limit, send};
use crate::failure::Failure;

/// After so many answers in a row a range that was refused once is doubled again: one dense stretch of the chain must
/// not make all of the rest slow.
const PATIENCE: u32 = 8;

/// Which blocks are asked for next.
#[derive(Clone, Copy, Debug)]
struct Ranges {
    /// `None` after the last block that there can be.
    next: Option<u64>,
    last: u64,
    span: u64,
    longest: u64,
    answered: u32,
}

impl Ranges {
    fn new(Period { from, to }: Period, longest: u64) -> Self {
        Self { next: Some(from), last: to, span: longest, longest, answered: 0 }
    }

    /// First and last block of the next range; `None` at the end.
    fn current(&self) -> Option<(u64, u64)> {
        let from = self.next.filter(|from| *from <= self.last)?;
        Some((from, self.last.min(from.saturating_add(self.span - 1))))
    }

    fn answered(&mut self, to: u64) {
        self.next = to.checked_add(1);
        self.answered += 1;
        if self.answered == PATIENCE {
            self.answered = 0;
            self.span = self.span.saturating_mul(2).min(self.longest);
        }
    }

    /// Asks for half; false where one block was refused already.
    fn halve(&mut self) -> bool {
        let Some((from, to)) = self.current() else { return false };
        self.answered = 0;
        self.span = (to - from + 1).div_ceil(2);
        to > from
    }
}

/// Logs, a range at a time, so that no more than one range is held.
pub(crate) struct Pages<'a> {
    market: &'a Market,
    filter: Filter,
    ranges: Ranges,
}

impl Pages<'_> {
    /// The next range's logs, in the order of the chain; `None` at the end. A node that refuses a range is asked for
    /// halves of it, down to one block.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Log>>, Failure> {
        while let Some((from, to)) = self.ranges.current() {
            let filter = self.filter.clone().from_block(from).to_block(to);
            match self.market.provider.get_logs(&filter).await {
                Ok(logs) => {
                    self.ranges.answered(to);
                    return Ok(Some(logs));
                }
                Err(error) if refused_for_size(&error) && self.ranges.halve() => {}
                Err(error) => return Err(send::failure(&error, None)),
            }
        }
        Ok(None)
    }
}

impl Market {
    /// Logs of a period, at most so many blocks at a time.
    pub(super) fn pages(&self, filter: Filter, period: Period, longest: u64) -> Pages<'_> {
        Pages { market: self, filter, ranges: Ranges::new(period, longest.max(1)) }
    }

    /// All logs of a period, for what is rare.
    pub(super) async fn logs_in(&self, filter: Filter, period: Period) -> Result<Vec<Log>, Failure> {
        let mut pages = self.pages(filter, period, (period.to - period.from).saturating_add(1));
        let mut logs = Vec::new();
        while let Some(some) = pages.next().await? {
            logs.extend(some);
        }
        Ok(logs)
    }

    /// Logs up to the newest block.
    pub(super) async fn logs(&self, filter: Filter) -> Result<Vec<Log>, Failure> {
        self.logs_from(filter, self.from_block).await
    }

    /// The same from this block on.
    pub(super) async fn logs_from(&self, filter: Filter, from: u64) -> Result<Vec<Log>, Failure> {
        let to = self.head().await?;
        if to < from {
            return Ok(Vec::new());
        }
        self.logs_in(filter, Period { from, to }).await
    }
}

/// Nodes refuse large ranges in words and codes of their own, so any answer but silence and a rate limit counts as one.
fn refused_for_size(error: &TransportError) -> bool {
    match error {
        RpcError::ErrorResp(_) => !is_rate_limit(error),
        RpcError::Transport(kind) => kind.as_http_error().is_some_and(|http| matches!(http.status, 400 | 413)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is asked of a node that answers at most `limit` blocks at once.
    fn asked(mut ranges: Ranges, limit: u64) -> Vec<(u64, u64)> {
        let mut answered = Vec::new();
        while let Some((from, to)) = ranges.current() {
            if to - from < limit {
                answered.push((from, to));
                ranges.answered(to);
            } else if !ranges.halve() {
                break;
            }
        }
        answered
    }

    #[test]
    fn every_block_is_asked_for_once_whatever_the_node_refuses() {
        for (from, to) in [(0, 0), (5, 5), (0, 99), (17, 1000), (u64::MAX - 3, u64::MAX)] {
            for (limit, longest) in [(1, 1), (1, 64), (3, 1000), (7, 10), (u64::MAX, u64::MAX), (u64::MAX, 9)] {
                let ranges = asked(Ranges::new(Period { from, to }, longest), limit);
                assert_eq!(ranges.first().map(|range| range.0), Some(from), "{limit} {longest}");
                assert_eq!(ranges.last().map(|range| range.1), Some(to), "{limit} {longest}");
                assert!(ranges.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0), "{ranges:?}");
                assert!(ranges.iter().all(|(from, to)| to - from < longest), "{ranges:?}");
            }
        }
    }

    #[test]
    fn one_block_that_is_refused_ends_it() {
        let mut ranges = Ranges::new(Period { from: 3, to: 4 }, 100);
        assert!(ranges.halve());
        assert_eq!(ranges.current(), Some((3, 3)));
        assert!(!ranges.halve());
    }

    #[test]
    fn a_range_grows_again_after_a_dense_stretch() {
        let mut ranges = Ranges::new(Period { from: 0, to: 1_000_000 }, 64);
        for _ in 0..6 {
            ranges.halve();
        }
        assert_eq!(ranges.span, 1);
        for _ in 0..PATIENCE * 6 {
            ranges.answered(ranges.current().unwrap().1);
        }
        assert_eq!(ranges.span, 64);
    }
}
