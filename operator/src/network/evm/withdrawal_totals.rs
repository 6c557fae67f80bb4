//! What was withdrawn, block by block: what is read of a block takes the place of what was read of it before. So a block that
//! is delivered twice counts once, and what a reorganisation moves to another block counts there alone. Pure.

use std::collections::{BTreeMap, BTreeSet};

use alloy::primitives::{Address, U256};

use super::logs::Withdrawal;
use crate::network::evm::Withdrawn;

/// Blocks with withdrawals that are kept apart: no reorganisation goes back over so many.
const APART: usize = 1_024;

#[derive(Debug)]
pub(super) struct WithdrawalTotals {
    /// What was withdrawn up to a block, and is not counted again.
    before: Withdrawn,
    until: u64,
    /// Blocks up to there that are not in that sum: an earlier process could not believe what it read of them.
    open: BTreeSet<u64>,
    /// The others, by their numbers.
    blocks: BTreeMap<u64, Withdrawn>,
}

impl WithdrawalTotals {
    /// Goes on from the sums of an earlier process.
    pub(super) const fn new(before: Withdrawn, until: u64, open: BTreeSet<u64>) -> Self {
        Self { before, until, open, blocks: BTreeMap::new() }
    }

    /// Takes what was read of the blocks of which `was_read` says so.
    pub(super) fn read(&mut self, was_read: impl Fn(u64) -> bool, withdrawals: &[Withdrawal]) {
        self.blocks.retain(|number, _| !was_read(*number));
        for Withdrawal { token, units, block } in withdrawals {
            if was_read(*block) && (*block > self.until || self.open.contains(block)) {
                add(self.blocks.entry(*block).or_default(), *token, *units);
            }
        }
        while self.blocks.len() > APART {
            self.close_first();
        }
    }

    /// A reorganisation took the blocks after this one away. Those that it left are read again, and counted then.
    pub(super) fn step_back(&mut self, to: u64) {
        self.blocks.retain(|number, _| *number <= to);
    }

    pub(super) fn sums(&self) -> Withdrawn {
        let mut sums = self.before.clone();
        for (token, units) in self.blocks.values().flatten() {
            add(&mut sums, *token, *units);
        }
        sums
    }

    fn close_first(&mut self) {
        let Some((number, sums)) = self.blocks.pop_first() else { return };
        for (token, units) in sums {
            add(&mut self.before, token, units);
        }
        self.open.remove(&number);
        self.until = self.until.max(number);
    }
}

fn add(sums: &mut Withdrawn, token: Address, units: U256) {
    let sum = sums.entry(token).or_default();
    *sum = sum.saturating_add(units);
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: Address = Address::repeat_byte(1);

    fn withdrawal(block: u64, units: u64) -> Withdrawal {
        Withdrawal { token: TOKEN, units: U256::from(units), block }
    }

    fn sum(totals: &WithdrawalTotals) -> u64 {
        totals.sums().get(&TOKEN).copied().unwrap_or_default().to()
    }

    /// An earlier process counted 5 units up to block 10, but for block 8, of which it is not known what is in it.
    fn totals() -> WithdrawalTotals {
        WithdrawalTotals::new(Withdrawn::from([(TOKEN, U256::from(5))]), 10, BTreeSet::from([8]))
    }

    #[test]
    fn a_block_that_is_read_twice_counts_once_and_counts_as_it_was_read_last() {
        let mut totals = totals();
        for (read, withdrawals, expected, why) in [
            (9..=10, vec![withdrawal(9, 100)], 5, "the earlier process counted it"),
            (8..=8, vec![withdrawal(8, 20)], 25, "the earlier process did not"),
            (8..=8, vec![withdrawal(8, 20)], 25, "twice"),
            (11..=20, vec![withdrawal(12, 1), withdrawal(12, 2), withdrawal(20, 4)], 32, "new"),
            (12..=12, vec![withdrawal(12, 1), withdrawal(12, 2)], 32, "twice"),
            (20..=20, vec![], 28, "a node that has the block says that nothing is in it"),
            (20..=20, vec![withdrawal(20, 4), withdrawal(21, 64)], 32, "21 was not read"),
        ] {
            totals.read(|number| read.contains(&number), &withdrawals);
            assert_eq!(sum(&totals), expected, "{read:?}: {why}");
        }
    }

    #[test]
    fn what_a_reorganisation_moves_counts_where_it_is_now() {
        let mut totals = totals();
        totals.read(|number| number == 12, &[withdrawal(12, 1)]);
        totals.read(|number| number == 14, &[withdrawal(14, 2)]);
        totals.step_back(13);
        assert_eq!(sum(&totals), 6);
        // Nothing is said of the new block 14 at first.
        totals.read(|number| number == 14, &[]);
        totals.read(|number| number == 15, &[withdrawal(15, 2)]);
        totals.read(|number| number == 14, &[]);
        assert_eq!(sum(&totals), 8);
        totals.step_back(3);
        assert_eq!(sum(&totals), 5, "what an earlier process counted stays");
    }

    #[test]
    fn however_many_blocks_there_are_few_are_kept_apart_and_the_sum_is_that_of_all() {
        let mut totals = totals();
        totals.read(|number| number == 8, &[withdrawal(8, 1)]);
        let more = u64::try_from(APART).unwrap() + 10;
        for block in 11..11 + more {
            totals.read(|number| number == block, &[withdrawal(block, 1)]);
        }
        assert_eq!((totals.blocks.len(), sum(&totals)), (APART, 5 + 1 + more));
        // The block that the earlier process left open, and one of the first, are not counted again.
        totals.read(|number| number == 8 || number == 12, &[withdrawal(8, 1), withdrawal(12, 1)]);
        assert_eq!(sum(&totals), 5 + 1 + more);
    }
}
