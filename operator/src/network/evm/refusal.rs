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
        (SkipReason::NotLive, Act::Decline { .. } | Act::End { .. } | Act::Refund { .. })
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
        (Act::Start { .. }, Open) if now > job.start_deadline => Some(SkipReason::DeadlinePassed),
        (Act::Start { .. }, Ended) => Some(SkipReason::AlreadyEnded),
        (Act::Claim(_) | Act::End { .. }, Open) => Some(SkipReason::NotStarted),
        (Act::Claim(claim), _) => why_not_paid(claim, job, now, domain),
        (Act::End { expect_used, .. }, _) if job.used < *expect_used => Some(SkipReason::UnclaimedUse),
        (Act::Refund { .. }, _) if job.refundable_from.is_none_or(|from| now < from) => Some(SkipReason::TooEarly),
        _ => Option::None,
    }
}

fn why_not_paid(claim: &Claim, job: &Job, now: Timestamp, domain: &Eip712Domain) -> Option<SkipReason> {
    if job.refundable_from.is_some_and(|from| now >= from) {
        return Some(SkipReason::ClaimWindowPassed);
    }
    if job.attestor.is_none() || signer(claim, domain) != job.attestor {
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
