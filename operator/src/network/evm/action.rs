//! What the operator asks a network to do, and how far that has come.

use std::fmt;

use alloy::primitives::{Address, B256, Signature};
use hawser_market::{JobId, OfferId, OrderRef};
use jiff::Timestamp;

use super::{GpuSeconds, OfferTerms};

/// Something to be done on chain by the operator's wallet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Post an offer, or post it again with another card.
    SetOffer(OfferPost),
    /// Change what may change of an offer: cheaper than posting it again.
    UpdateOffer {
        offer: OfferId,
        /// Token units per GPU-hour.
        price: u128,
        /// Most GPUs that one order can ask for.
        available: u16,
        /// Last second at which an order is taken.
        valid_until: Timestamp,
    },
    /// Turn an order down; its deposit goes back in full.
    Decline {
        job: JobId,
        /// Whose it is, as its id proves.
        order: OrderRef,
        /// Why, for the customer.
        reason: String,
    },
    /// Start a job, or give a running one another attestor.
    Start {
        job: JobId,
        /// Whose vouchers count.
        attestor: Address,
    },
    /// Be paid for attested use.
    Claim(Claim),
    /// Be paid for a job's last voucher and close it in the same call; what is left goes back to the customer.
    Settle {
        /// The last voucher. Where it was claimed before, the job is closed all the same.
        claim: Claim,
        /// Whose it is, as its id proves.
        order: OrderRef,
    },
    /// End a started job at once and for good; what was not claimed goes back to the customer.
    End {
        job: JobId,
        /// Whose it is, as its id proves.
        order: OrderRef,
        /// What must have been claimed before; with less the market leaves the job alone, so that no claim is lost.
        expect_used: GpuSeconds,
        /// Why, for the customer.
        reason: String,
    },
    /// Close a job whose time is over: not started by its deadline, or past its claim window.
    Refund {
        job: JobId,
        /// Whose it is, as its id proves.
        order: OrderRef,
    },
    /// Send the provider's credit to its payout address.
    Withdraw {
        /// The provider's cold key.
        provider: Address,
        /// ERC-20 token of the credit.
        token: Address,
    },
}

/// An offer to be posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferPost {
    /// Name of the offer with these terms on this market.
    pub offer: OfferId,
    /// What never changes.
    pub terms: OfferTerms,
    /// Token units per GPU-hour.
    pub price: u128,
    /// Most GPUs that one order can ask for.
    pub available: u16,
    /// Last second at which an order is taken.
    pub valid_until: Timestamp,
    /// Free text about the offer (JSON), at most 4 KiB.
    pub card: String,
}

/// A voucher to be claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub job: JobId,
    /// Cumulative use since the job's start.
    pub gpu_seconds: GpuSeconds,
    /// Head of the evidence's hash chain.
    pub evidence_root: B256,
    /// The attestor's, over the EIP-712 `UsageVoucher`.
    pub signature: Signature,
}

/// Names an action: asking again under the same key replaces what was asked before and not sent yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ActionKey {
    /// Posting or changing an offer.
    Offer(OfferId),
    /// Declining an order.
    Decline(JobId),
    /// Starting a job.
    Start(JobId),
    /// Claiming a job's use.
    Claim(JobId),
    /// Claiming a job's last use and closing it.
    Settle(JobId),
    /// Ending a job.
    End(JobId),
    /// Closing a job by time.
    Refund(JobId),
    /// Withdrawing a token.
    Withdraw(Address),
}

impl Action {
    /// Its name.
    pub fn key(&self) -> ActionKey {
        match self {
            Self::SetOffer(post) => ActionKey::Offer(post.offer),
            Self::UpdateOffer { offer, .. } => ActionKey::Offer(*offer),
            Self::Decline { job, .. } => ActionKey::Decline(*job),
            Self::Start { job, .. } => ActionKey::Start(*job),
            Self::Claim(claim) => ActionKey::Claim(claim.job),
            Self::Settle { claim, .. } => ActionKey::Settle(claim.job),
            Self::End { job, .. } => ActionKey::End(*job),
            Self::Refund { job, .. } => ActionKey::Refund(*job),
            Self::Withdraw { token, .. } => ActionKey::Withdraw(*token),
        }
    }
}

impl ActionKey {
    /// The job that it is about, if it is about one.
    pub const fn job(&self) -> Option<JobId> {
        match self {
            Self::Offer(_) | Self::Withdraw(_) => None,
            Self::Decline(job)
            | Self::Start(job)
            | Self::Claim(job)
            | Self::Settle(job)
            | Self::End(job)
            | Self::Refund(job) => Some(*job),
        }
    }
}

impl fmt::Display for ActionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Offer(id) => write!(f, "offer {id}"),
            Self::Decline(id) => write!(f, "decline {id}"),
            Self::Start(id) => write!(f, "start {id}"),
            Self::Claim(id) => write!(f, "claim {id}"),
            Self::Settle(id) => write!(f, "settle {id}"),
            Self::End(id) => write!(f, "end {id}"),
            Self::Refund(id) => write!(f, "refund {id}"),
            Self::Withdraw(token) => write!(f, "withdraw {token}"),
        }
    }
}

/// How far one has come.
pub type ActionState = crate::network::ActionState<B256>;
