//! What one claim of several jobs paid for each of them, and what of the gas falls to each.

use alloy::primitives::U256;
use hawser_contracts::ComputeMarket::{Settlement, UsageClaimed};
use hawser_market::{JobId, OfferId};

const BPS: u64 = 10_000;

/// How an offer stood before a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Before {
    /// Token units that were paid for the offer's jobs, fees included.
    pub(crate) settled: U256,
    /// The fee in force, in hundredths of a percent.
    pub(crate) bps: u16,
}

/// One job's part of a claim, in units of the offer's token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) job: JobId,
    pub(crate) gpu_seconds: u64,
    /// Fee included.
    pub(crate) paid: U256,
    pub(crate) fee: U256,
}

/// The jobs of a claim, with what was claimed of each in all.
pub(crate) fn uses(claim: &UsageClaimed) -> Vec<(JobId, u64)> {
    let offer = OfferId(claim.offerId);
    let of_line = |line: &Settlement| JobId::of_use(line.r#use, offer);
    claim.settlements.iter().map(of_line).map(|(job, used)| (job, used.0)).collect()
}

/// A claim of one job is its own statement; the count that it began at follows from it.
pub(crate) fn single(claim: &UsageClaimed) -> Option<Share> {
    let [(job, used)] = uses(claim)[..] else { return None };
    let before = used.checked_sub(claim.gpuSeconds.try_into().ok()?)?;
    let share = Share { fee: claim.fee, ..share(job, before, used)? };
    adds_up(claim, &[share]).then_some(share)
}

/// The parts of a claim whose jobs had been claimed up to these counts before, in the order of its lines. `None`
/// where they don't add up to what the claim says.
///
/// The market charges a fee of `floor(settled * bps / 10000)` on all that an offer ever paid, and a claim pays the
/// difference. So each line's fee is the difference between the fees after and before that line: what the market would
/// have charged had each job been claimed alone, in this order. So the parts add up to the claim's fee.
pub(crate) fn several(claim: &UsageClaimed, used_before: &[u64], before: Before) -> Option<Vec<Share>> {
    if used_before.len() != claim.settlements.len() {
        return None;
    }
    let fee = |settled: U256| settled * U256::from(before.bps) / U256::from(BPS);
    let mut settled = before.settled;
    let mut shares = Vec::with_capacity(used_before.len());
    for ((job, used), used_before) in uses(claim).into_iter().zip(used_before) {
        let share = share(job, *used_before, used)?;
        let after = settled.checked_add(share.paid)?.min(U256::from(u128::MAX));
        shares.push(Share { fee: fee(after) - fee(settled), ..share });
        settled = after;
    }
    adds_up(claim, &shares).then_some(shares)
}

/// `floor(price * used / 3600)` after, less the same before.
fn share(job: JobId, before: u64, used: u64) -> Option<Share> {
    let gpu_seconds = used.checked_sub(before)?;
    Some(Share { job, gpu_seconds, paid: job.paid(used) - job.paid(before), fee: U256::ZERO })
}

fn adds_up(claim: &UsageClaimed, shares: &[Share]) -> bool {
    let sum = |of: fn(&Share) -> U256| shares.iter().map(of).fold(U256::ZERO, U256::saturating_add);
    sum(|share| U256::from(share.gpu_seconds)) == claim.gpuSeconds
        && sum(|share| share.paid) == claim.paid
        && sum(|share| share.fee) == claim.fee
        && claim.fee <= claim.paid
}

/// One of this many equal parts of a cost. What can't be shared falls to the first of them, a wei to each.
pub(crate) fn gas_share(cost: U256, position: u64, parts: u64) -> U256 {
    let (each, rest) = cost.div_rem(U256::from(parts.max(1)));
    each + U256::from(u8::from(U256::from(position) < rest))
}

#[cfg(test)]
mod tests {
    use alloy::primitives::{Address, B256, FixedBytes};
    use hawser_market::GpuSeconds;

    use super::*;

    const BEFORE: Before = Before { settled: U256::from_limbs([12_345, 0, 0, 0]), bps: 250 };

    fn job(number: u8) -> JobId {
        JobId::from_parts(OfferId(FixedBytes::ZERO), 2_250_001, 2, FixedBytes::repeat_byte(number)).unwrap()
    }

    fn claim(lines: &[(u8, u64)], gpu_seconds: u64, paid: u64, fee: u64) -> UsageClaimed {
        UsageClaimed {
            offerId: FixedBytes::ZERO,
            provider: Address::ZERO,
            settlements: lines
                .iter()
                .map(|(number, used)| Settlement {
                    r#use: job(*number).with_use(GpuSeconds(*used)),
                    evidenceRoot: B256::ZERO,
                })
                .collect(),
            gpuSeconds: U256::from(gpu_seconds),
            paid: U256::from(paid),
            fee: U256::from(fee),
        }
    }

    /// 2250001 * 7 / 3600 = 4375, and * 33 / 3600 = 20625; fees 308.6 before, 418 and 933.6 after.
    #[test]
    fn each_line_pays_the_fee_that_it_would_pay_in_a_claim_of_its_own() {
        let shares = several(&claim(&[(1, 7), (2, 33)], 40, 25_000, 625), &[0, 0], BEFORE).unwrap();
        let parts: Vec<(u64, U256, U256)> = shares.iter().map(|one| (one.gpu_seconds, one.paid, one.fee)).collect();
        assert_eq!(parts, [(7, U256::from(4375), U256::from(110)), (33, U256::from(20_625), U256::from(515))]);
    }

    #[test]
    fn a_claim_that_does_not_follow_from_what_was_before_is_refused() {
        let lines = [(1, 7), (2, 33)];
        let right = claim(&lines, 40, 25_000, 625);
        assert!(several(&right, &[0, 0], BEFORE).is_some());
        assert!(several(&right, &[1, 0], BEFORE).is_none());
        assert!(several(&right, &[8, 0], BEFORE).is_none());
        assert!(several(&right, &[0], BEFORE).is_none());
        assert!(several(&right, &[0, 0], Before { bps: 251, ..BEFORE }).is_none());
        for wrong in [claim(&lines, 41, 25_000, 625), claim(&lines, 40, 25_001, 625), claim(&lines, 40, 25_000, 626)] {
            assert!(several(&wrong, &[0, 0], BEFORE).is_none());
        }
    }

    #[test]
    fn a_claim_of_one_job_says_all_by_itself() {
        let share = single(&claim(&[(1, 40)], 33, 20_625, 206)).unwrap();
        assert_eq!((share.gpu_seconds, share.paid, share.fee), (33, U256::from(20_625), U256::from(206)));
        assert!(single(&claim(&[(1, 40)], 41, 25_625, 206)).is_none(), "more than was ever used");
        assert!(single(&claim(&[(1, 40)], 33, 20_626, 206)).is_none(), "another price");
        assert!(single(&claim(&[(1, 40)], 33, 20_625, 20_626)).is_none(), "more fee than pay");
        assert!(single(&claim(&[(1, 40), (2, 1)], 41, 25_625, 1)).is_none(), "two jobs");
    }

    #[test]
    fn an_offer_that_counts_no_further_charges_no_fee() {
        let full = Before { settled: U256::from(u128::MAX), bps: 1000 };
        let shares = several(&claim(&[(1, 7), (2, 33)], 40, 25_000, 0), &[0, 0], full).unwrap();
        assert!(shares.iter().all(|share| share.fee.is_zero()));
    }

    #[test]
    fn parts_of_the_gas_add_up_to_the_wei() {
        for (cost, parts) in [(0_u64, 1), (1, 3), (10, 3), (11, 3), (12, 3), (1_000_003, 7)] {
            let shares: Vec<U256> = (0..parts).map(|i| gas_share(U256::from(cost), i, parts)).collect();
            assert_eq!(shares.iter().sum::<U256>(), U256::from(cost));
            assert!(shares.iter().max().unwrap() - shares.iter().min().unwrap() <= U256::from(1), "{shares:?}");
        }
    }
}
