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

use crate::network::evm::{Action, ActionState, Claim, EvmError, Job, JobStatus};

/// What becomes of an action that the market leaves out: some things are as they should be already.
pub(super) fn state(skip: SkipReason, action: &Action) -> ActionState {
    let needless = matches!(
        (skip, action),
        (
            SkipReason::NotLive,
            Action::Decline { .. } | Action::Settle { .. } | Action::End { .. } | Action::Refund { .. }
        ) | (SkipReason::Stale, Action::Claim(_))
    );
    let words = skip.to_string();
    if needless { ActionState::AlreadyDone { why: words } } else { ActionState::Refused { error: words } }
}

/// Finds out why the market leaves an action out, by its own rules and in its order. None: not for a reason that shows in
/// the job.
pub(super) fn why_skipped(action: &Action, job: &Job, now: Timestamp, domain: &Eip712Domain) -> Option<SkipReason> {
    use JobStatus::{Closed, Ended, None, Open, Running};
    match (action, job.status) {
        (Action::SetOffer(_) | Action::UpdateOffer { .. } | Action::Withdraw { .. }, _) => Option::None,
        (_, None | Closed) => Some(SkipReason::NotLive),
        (Action::Decline { .. }, Running | Ended) => Some(SkipReason::AlreadyStarted),
        (Action::Start { attestor, .. }, _) if attestor.is_zero() => Some(SkipReason::ZeroAttestor),
        (Action::Start { .. }, Open) if job.start_deadline.is_some_and(|deadline| now > deadline) => {
            Some(SkipReason::DeadlinePassed)
        }
        (Action::Start { .. }, Ended) => Some(SkipReason::AlreadyEnded),
        (Action::Claim(_) | Action::Settle { .. } | Action::End { .. }, Open) => Some(SkipReason::NotStarted),
        (Action::Claim(claim), _) => why_not_paid(claim, job, now, domain),
        (Action::Settle { claim, .. }, _) if claim.gpu_seconds > job.used => {
            why_not_last(claim, job, now, domain).or_else(|| wrong_order(action))
        }
        (Action::End { expect_used, .. }, _) if job.used < *expect_used => Some(SkipReason::UnclaimedUse),
        (Action::Refund { .. }, _) if job.refundable_from.is_none_or(|from| now < from) => Some(SkipReason::TooEarly),
        _ => wrong_order(action),
    }
}

/// What doesn't show in the job: a caller that may not do it, or a verifier.
pub(super) const fn unseen(action: &Action) -> SkipReason {
    match action {
        Action::Claim(_) | Action::Settle { .. } => SkipReason::Unverified,
        _ => SkipReason::NotOperator,
    }
}

fn wrong_order(action: &Action) -> Option<SkipReason> {
    let (job, order) = match action {
        Action::Decline { job, order, .. } | Action::End { job, order, .. } | Action::Refund { job, order } => {
            (job, order)
        }
        Action::Settle { claim, order } => (&claim.job, order),
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
pub(super) fn reverted(error: &EvmError) -> Option<String> {
    match error {
        EvmError::Answer { revert: Some(data), .. } if !data.is_empty() => {
            Some(refusal::in_words(data, None, Audience::Provider))
        }
        EvmError::Answer { message, revert, .. } if revert.is_some() || message.contains("revert") => {
            Some(format!("the market reverts: {message}"))
        }
        _ => None,
    }
}

/// A wallet that can't pay for gas.
pub(super) fn too_poor(wallet: Address, balance: Option<U256>) -> String {
    let has = balance.map_or_else(|| "too little".to_owned(), |wei| format!("only {wei} wei"));
    format!("wallet {wallet} holds {has}, not enough for gas: top it up")
}
