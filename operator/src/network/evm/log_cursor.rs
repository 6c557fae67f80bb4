//! Which blocks to read next. Pure.

use std::{collections::VecDeque, ops::RangeInclusive};

use crate::network::evm::{Block, Cursor};

/// Blocks in one request for logs, to begin with; common limits of providers are 500 to 10,000.
pub(super) const WIDEST: u64 = 2_000;
/// So near the head blocks are read one by one, by their hash: behind one address there may be nodes that lag, and these
/// answer for a range as if nothing had happened in it.
const NEAR: u64 = 16;
/// Read positions that are remembered: a reorg goes back to the newest of them that still stands.
const REMEMBERED: usize = 128;
/// How far a reorg goes back where nothing that is remembered still stands.
const FAR_BACK: u64 = 256;

/// Whether a block is read alone, unless it is known to hold nothing.
pub(super) const fn is_near(number: u64, head: u64) -> bool {
    number > head.saturating_sub(NEAR)
}

/// The next blocks after `after`, at most `width` of them and not beyond `last`: the last confirmed one. Near the head it is
/// one block, unless nothing is expected up to block `quiet`.
pub(super) fn next(width: u64, after: u64, last: u64, head: u64, quiet: u64) -> Option<RangeInclusive<u64>> {
    let from = after.checked_add(1).filter(|from| *from <= last)?;
    let together = head.saturating_sub(NEAR).max(quiet);
    Some(from..=last.min(after.saturating_add(width)).min(together).max(from))
}

/// Where the watcher stands, and where it stood before.
#[derive(Clone, Debug)]
pub(super) struct LogCursor {
    at: Cursor,
    behind: VecDeque<Block>,
    /// Nothing of this market lies before.
    floor: u64,
}

impl LogCursor {
    /// Begins at a cursor, or where the market's first order can lie.
    pub(super) fn new(from: Option<Cursor>, start_block: u64) -> Self {
        let floor = start_block.saturating_sub(1);
        Self { at: from.unwrap_or(Cursor { number: floor, hash: None }), behind: VecDeque::new(), floor }
    }

    pub(super) const fn at(&self) -> Cursor {
        self.at
    }

    /// Everything up to this block was taken over.
    pub(super) fn advance(&mut self, to: Block) {
        if self.behind.len() == REMEMBERED {
            self.behind.pop_front();
        }
        self.behind.push_back(to);
        self.at = to.into();
    }

    /// The block under the cursor is another one now: stands on the position before it. The caller checks that one too.
    pub(super) fn step_back(&mut self) {
        let left = self.at.number;
        while self.behind.back().is_some_and(|block| block.number >= left) {
            self.behind.pop_back();
        }
        self.at = match self.behind.back() {
            Some(block) => (*block).into(),
            // Nothing is known of the way here. Blocks this far back are read again; orders seen twice do no harm.
            None => Cursor { number: left.saturating_sub(FAR_BACK).max(self.floor.min(left)), hash: None },
        };
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::{B256, U256};

    use super::*;

    fn block(number: u64) -> Block {
        Block { number, hash: B256::from(U256::from(number)) }
    }

    #[test]
    fn a_range_follows_the_cursor_and_ends_at_the_last_confirmed_block() {
        let cases = [
            (10, 5, 5, 1000, None),
            (10, 5, 3, 1000, None),
            (10, 5, 6, 1000, Some(6..=6)),
            (10, 5, 15, 1000, Some(6..=15)),
            (10, 5, 16, 1000, Some(6..=15)),
            (1, 5, 16, 1000, Some(6..=6)),
            (10, u64::MAX, u64::MAX, u64::MAX, None),
            // Near the head: up to 16 blocks before it, then one by one.
            (10, 5, 30, 30, Some(6..=14)),
            (10, 13, 30, 30, Some(14..=14)),
            (10, 14, 30, 30, Some(15..=15)),
            (10, 2, 5, 5, Some(3..=3)),
        ];
        for (width, after, last, head, expected) in cases {
            assert_eq!(next(width, after, last, head, 0), expected, "{width} {after} {last} {head}");
        }
        // Blocks of which the headers say that nothing of ours is in them are read together.
        assert_eq!(next(10, 14, 30, 30, 20), Some(15..=20));
        assert_eq!(next(10, 14, 18, 30, 20), Some(15..=18));
    }

    #[test]
    fn a_reorg_goes_back_over_what_was_read() {
        let mut cursor = LogCursor::new(None, 10);
        assert_eq!(cursor.at(), Cursor { number: 9, hash: None });
        for number in [12, 13, 15] {
            cursor.advance(block(number));
        }
        cursor.step_back();
        assert_eq!(cursor.at(), block(13).into());
        cursor.step_back();
        assert_eq!(cursor.at(), block(12).into());
        cursor.step_back();
        assert_eq!(cursor.at(), Cursor { number: 9, hash: None });
    }

    #[test]
    fn a_cursor_of_an_earlier_operator_goes_back_far_but_not_before_the_start() {
        let cases = [(1000, 10, 744), (300, 100, 99), (100, 0, 0), (50, 80, 50)];
        for (number, start, expected) in cases {
            let mut cursor = LogCursor::new(Some(block(number).into()), start);
            cursor.step_back();
            assert_eq!(cursor.at(), Cursor { number: expected, hash: None }, "{number} {start}");
        }
    }
}
