//! Why the market won't do something, in words a person can act on.

use alloy::{
    primitives::{Address, U256},
    sol_types::{Eip712Domain, SolStruct},
};
use hawser_contracts::{ComputeMarket, UsageVoucher};
use jiff::Timestamp;

use super::read::market_error;
use crate::{
    network::{Act, ActState, ChainJob, Claim, JobStatus, NetworkError},
    settlement::plan::bound,
};

type MarketError = ComputeMarket::ComputeMarketErrors;

/// Why a batch function leaves an item out (`SkipReason` of the market).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Skip {
    NotOperator,
    NotLive,
    AlreadyStarted,
    NotStarted,
    DeadlinePassed,
    ZeroAttestor,
    AlreadyEnded,
    WrongOffer,
    ClaimWindowPassed,
    Stale,
    BadSignature,
    UnclaimedUse,
    EndNotEarlier,
    TooEarly,
    EndPassed,
}

impl Skip {
    /// In the market's order.
    const ALL: [Self; 15] = [
        Self::NotOperator,
        Self::NotLive,
        Self::AlreadyStarted,
        Self::NotStarted,
        Self::DeadlinePassed,
        Self::ZeroAttestor,
        Self::AlreadyEnded,
        Self::WrongOffer,
        Self::ClaimWindowPassed,
        Self::Stale,
        Self::BadSignature,
        Self::UnclaimedUse,
        Self::EndNotEarlier,
        Self::TooEarly,
        Self::EndPassed,
    ];

    /// From the number in a `JobSkipped` log.
    pub(super) fn from_log(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    const fn words(self) -> &'static str {
        match self {
            Self::NotOperator => {
                "the wallet is not the operator of the offer's provider: call setProvider with the provider's key"
            }
            Self::NotLive => "the market holds nothing of this job: it was closed, or never ordered",
            Self::AlreadyStarted => "the job was started already",
            Self::NotStarted => "the job was not started",
            Self::DeadlinePassed => "the job's start deadline has passed",
            Self::ZeroAttestor => "the zero address can't attest",
            Self::AlreadyEnded => "the job's time is over",
            Self::WrongOffer => "the job belongs to another offer",
            Self::ClaimWindowPassed => "the job's claim window has closed: its unclaimed use is lost",
            Self::Stale => "the voucher adds nothing to what was claimed, or lies ahead of the running time",
            Self::BadSignature => "the voucher is not signed by the job's attestor",
            Self::UnclaimedUse => "less was claimed than expected: claim first",
            Self::EndNotEarlier => "the job ends before that anyway",
            Self::TooEarly => "the job can't be refunded yet",
            Self::EndPassed => "the second of the notice had passed when it was mined",
        }
    }

    /// What becomes of the act: some things are as they should be already.
    pub(super) fn state(self, act: &Act) -> ActState {
        let needless = matches!(
            (self, act),
            (Self::NotLive, Act::Decline { .. } | Act::End { .. } | Act::Refund { .. }) | (Self::Stale, Act::Claim(_))
        );
        let words = self.words().to_owned();
        if needless { ActState::Needless { why: words } } else { ActState::Refused { error: words } }
    }
}

/// Finds out why the market leaves an act out, by its own rules and in its order. None: not for a reason that shows in
/// the job.
pub(super) fn why_skipped(act: &Act, job: &ChainJob, now: Timestamp, domain: &Eip712Domain) -> Option<Skip> {
    use JobStatus::{Closed, Ended, None, Open, Running};
    match (act, job.status) {
        (Act::SetOffer(_) | Act::UpdateOffer { .. } | Act::Withdraw { .. }, _) => Option::None,
        (_, None | Closed) => Some(Skip::NotLive),
        (Act::Decline { .. }, Running | Ended) => Some(Skip::AlreadyStarted),
        (Act::Start { attestor, .. }, _) if attestor.is_zero() => Some(Skip::ZeroAttestor),
        (Act::Start { .. }, Open) if now > job.start_deadline => Some(Skip::DeadlinePassed),
        (Act::Start { .. }, Ended) => Some(Skip::AlreadyEnded),
        (Act::Claim(_) | Act::End { .. }, Open) => Some(Skip::NotStarted),
        (Act::Claim(claim), _) => why_not_paid(claim, job, now, domain),
        (Act::End { expect_used, .. }, _) if job.used < *expect_used => Some(Skip::UnclaimedUse),
        (Act::Refund { .. }, _) if job.refundable_from.is_none_or(|from| now < from) => Some(Skip::TooEarly),
        _ => Option::None,
    }
}

fn why_not_paid(claim: &Claim, job: &ChainJob, now: Timestamp, domain: &Eip712Domain) -> Option<Skip> {
    if job.refundable_from.is_some_and(|from| now >= from) {
        return Some(Skip::ClaimWindowPassed);
    }
    if job.attestor.is_none() || signer(claim, domain) != job.attestor {
        return Some(Skip::BadSignature);
    }
    (claim.gpu_seconds.min(bound(job, now)) <= job.used).then_some(Skip::Stale)
}

fn signer(claim: &Claim, domain: &Eip712Domain) -> Option<Address> {
    let voucher = UsageVoucher::new(claim.job, claim.gpu_seconds.0, claim.evidence_root);
    claim.signature.recover_address_from_prehash(&voucher.eip712_signing_hash(domain)).ok()
}

/// Whether an answer means that the call can't be done, and why; none where it says nothing about the call.
pub(super) fn reverted(error: &NetworkError) -> Option<String> {
    if let Some(error) = market_error(error) {
        return Some(words(&error));
    }
    match error {
        NetworkError::Answer { message, revert, .. } if revert.is_some() || message.contains("revert") => {
            Some(format!("the market reverts: {message}"))
        }
        _ => None,
    }
}

fn words(error: &MarketError) -> String {
    match error {
        MarketError::NotOperator(e) => format!(
            "wallet {} is not the operator of provider {}: call setProvider with the provider's key",
            e.caller, e.provider
        ),
        MarketError::UnknownProvider(e) => {
            format!("provider {} is not known to the market: call setProvider with its key", e.provider)
        }
        MarketError::TokenRefused(e) => {
            format!("provider {} takes no orders in token {}: call setFloor with its key", e.provider, e.token)
        }
        MarketError::PriceBelowFloor(e) => {
            format!("the price of {} token units per GPU-hour is below the provider's floor of {}", e.price, e.floor)
        }
        MarketError::PriceTooHigh(e) => {
            format!("the price of {} token units per GPU-hour is above the market's limit of {}", e.price, e.limit)
        }
        MarketError::InvalidDurations(e) => format!(
            "durations from {} s to {} s are not a range within the market's limit of {} s",
            e.minDuration, e.maxDuration, e.limit
        ),
        MarketError::WindowTooLong(e) => {
            format!("a start or claim window of {} s is longer than the market's limit of {} s", e.window, e.limit)
        }
        MarketError::WindowTooShort(e) => {
            format!("a claim window of {} s is shorter than the market's limit of {} s", e.window, e.limit)
        }
        MarketError::TextTooLong(e) => {
            format!("the card or reason has {} bytes, and the market takes at most {}", e.length, e.limit)
        }
        MarketError::TermsMismatch(e) => {
            format!("an offer {} with other terms exists: choose another salt", e.offerId)
        }
        MarketError::UnknownOffer(e) => format!("offer {} was never posted", e.offerId),
        MarketError::WrongStatus(e) => {
            let status =
                ["none", "open", "running", "ended", "closed"].get(usize::from(e.status)).unwrap_or(&"unknown");
            format!("job {} is {status}", e.id)
        }
        other => format!("the market reverts: {other:?}"),
    }
}

/// A wallet that can't pay for gas.
pub(super) fn too_poor(wallet: Address, balance: Option<U256>) -> String {
    let has = balance.map_or_else(|| "too little".to_owned(), |wei| format!("{wei} wei"));
    format!("wallet {wallet} has {has}, which doesn't pay for the transaction's gas: send coins to it")
}
