//! Why the market won't do something, in words a person can act on.

use alloy::{
    primitives::{Address, U256},
    sol_types::{Eip712Domain, SolStruct},
};
use hawser_market::{
    SkipReason, UsageVoucher,
    refusal::{self, Audience},
};
use jiff::Timestamp;

use crate::network::{Act, ActState, Claim, Job, JobStatus, NetworkError};

/// What becomes of an act that the market leaves out: some things are as they should be already.
pub(super) fn state(skip: SkipReason, act: &Act) -> ActState {
    let needless = matches!(
        (skip, act),
        (SkipReason::NotLive, Act::Decline { .. } | Act::Settle { .. } | Act::End { .. } | Act::Refund { .. })
            | (SkipReason::Stale, Act::Claim(_))
    );
    let words = skip.to_string();
    if needless { ActState::Needless { why: words } } else { ActState::Refused { error: words } }
}

/// Finds out why the market leaves an act out, by its own rules and in its order. None: not for a reason that shows in
/// the job.
pub(super) fn why_skipped(act: &Act, job: &Job, now: Timestamp, domain: &Eip712Domain) -> Option<SkipReason> {
    use JobStatus::{Closed, Ended, None, Open, Running};
    match (act, job.status) {
        (Act::SetOffer(_) | Act::UpdateOffer { .. } | Act::Withdraw { .. }, _) => Option::None,
        (_, None | Closed) => Some(SkipReason::NotLive),
        (Act::Decline { .. }, Running | Ended) => Some(SkipReason::AlreadyStarted),
        (Act::Start { attestor, .. }, _) if attestor.is_zero() => Some(SkipReason::ZeroAttestor),
        (Act::Start { .. }, Open) if job.start_deadline.is_some_and(|deadline| now > deadline) => {
            Some(SkipReason::DeadlinePassed)
        }
        (Act::Start { .. }, Ended) => Some(SkipReason::AlreadyEnded),
        (Act::Claim(_) | Act::Settle { .. } | Act::End { .. }, Open) => Some(SkipReason::NotStarted),
        (Act::Claim(claim), _) => why_not_paid(claim, job, now, domain),
        (Act::Settle { claim, .. }, _) if claim.gpu_seconds > job.used => {
            why_not_last(claim, job, now, domain).or_else(|| wrong_order(act))
        }
        (Act::End { expect_used, .. }, _) if job.used < *expect_used => Some(SkipReason::UnclaimedUse),
        (Act::Refund { .. }, _) if job.refundable_from.is_none_or(|from| now < from) => Some(SkipReason::TooEarly),
        _ => wrong_order(act),
    }
}

/// What doesn't show in the job: a caller that may not do it, or a verifier.
pub(super) const fn unseen(act: &Act) -> SkipReason {
    match act {
        Act::Claim(_) | Act::Settle { .. } => SkipReason::Unverified,
        _ => SkipReason::NotOperator,
    }
}

fn wrong_order(act: &Act) -> Option<SkipReason> {
    let (job, order) = match act {
        Act::Decline { job, order, .. } | Act::End { job, order, .. } | Act::Refund { job, order } => (job, order),
        Act::Settle { claim, order } => (&claim.job, order),
        _ => return None,
    };
    // Whose a delegate's order is stands in the market.
    (job.delegation().is_none() && !job.is_of(*order)).then_some(SkipReason::WrongOrder)
}

/// A last voucher that adds to what was claimed.
fn why_not_last(claim: &Claim, job: &Job, now: Timestamp, domain: &Eip712Domain) -> Option<SkipReason> {
    let payable = claim.gpu_seconds.min(job.bound(now));
    if job.status == JobStatus::Running && payable < claim.gpu_seconds {
        return Some(SkipReason::UnclaimedUse);
    }
    // Closed without a look at the voucher.
    (payable > job.used).then(|| why_not_paid(claim, job, now, domain))?
}

fn why_not_paid(claim: &Claim, job: &Job, now: Timestamp, domain: &Eip712Domain) -> Option<SkipReason> {
    if job.refundable_from.is_some_and(|from| now >= from) {
        return Some(SkipReason::ClaimWindowPassed);
    }
    if !signer(claim, domain).is_some_and(|signer| job.is_attestor(signer)) {
        return Some(SkipReason::BadSignature);
    }
    (claim.gpu_seconds.min(job.bound(now)) <= job.used).then_some(SkipReason::Stale)
}

fn signer(claim: &Claim, domain: &Eip712Domain) -> Option<Address> {
    let voucher = UsageVoucher::new(claim.job, claim.gpu_seconds.0, claim.evidence_root);
    claim.signature.recover_address_from_prehash(&voucher.eip712_signing_hash(domain)).ok()
}

/// Whether an answer means that the call can't be done, and why; none if it says nothing about the call.
pub(super) fn reverted(error: &NetworkError) -> Option<String> {
    match error {
        NetworkError::Answer { revert: Some(data), .. } if !data.is_empty() => {
            Some(refusal::in_words(data, None, Audience::Provider))
        }
        NetworkError::Answer { message, revert, .. } if revert.is_some() || message.contains("revert") => {
            Some(format!("the market reverts: {message}"))
        }
        _ => None,
    }
}

/// A wallet that can't pay for gas.
pub(super) fn too_poor(wallet: Address, balance: Option<U256>) -> String {
    let has = balance.map_or_else(|| "too little".to_owned(), |wei| format!("{wei} wei"));
    format!("wallet {wallet} has {has}, which doesn't pay for the transaction's gas: send coins to it")
}
