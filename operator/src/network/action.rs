//! What the operator asks a network to do, and how far that has come.

use std::fmt;

use hawser_attestation::{Attestor, SignedVoucher};
use hawser_market::GpuSeconds;
use jiff::Timestamp;

use super::{JobId, OfferId, OfferPost, OrderRef, TokenId, TransactionId};

/// Something to be done on the network in the provider's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetworkAction {
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
        /// Whose it is.
        order: OrderRef,
        /// Why, for the customer.
        reason: String,
    },
    /// Start a job, or give a running one another attestor.
    Start {
        job: JobId,
        /// Whose vouchers count.
        attestor: Attestor,
    },
    /// Be paid for attested use.
    Claim {
        job: JobId,
        /// Its newest voucher.
        voucher: SignedVoucher,
    },
    /// Be paid for a job's last voucher and close it at once; what is left goes back to the customer.
    Settle {
        job: JobId,
        /// The last voucher. Where it was claimed before, the job is closed all the same.
        voucher: SignedVoucher,
        /// Whose it is.
        order: OrderRef,
    },
    /// End a started job at once and for good; what was not claimed goes back to the customer.
    End {
        job: JobId,
        /// Whose it is.
        order: OrderRef,
        /// What must have been claimed before; with less the network leaves the job alone, so that no claim is lost.
        expect_used: GpuSeconds,
        /// Why, for the customer.
        reason: String,
    },
    /// Close a job whose time is over: not started by its deadline, or past its claim window.
    Refund {
        job: JobId,
        /// Whose it is.
        order: OrderRef,
    },
    /// Send what the provider has earned to where it is paid out.
    Withdraw {
        /// In this token.
        token: TokenId,
    },
}

/// Names an action: asking again under the same key replaces what was asked before and not sent yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
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
    Withdraw(TokenId),
}

impl NetworkAction {
    /// Its name.
    pub fn key(&self) -> ActionKey {
        match self {
            Self::SetOffer(post) => ActionKey::Offer(post.offer.clone()),
            Self::UpdateOffer { offer, .. } => ActionKey::Offer(offer.clone()),
            Self::Decline { job, .. } => ActionKey::Decline(job.clone()),
            Self::Start { job, .. } => ActionKey::Start(job.clone()),
            Self::Claim { job, .. } => ActionKey::Claim(job.clone()),
            Self::Settle { job, .. } => ActionKey::Settle(job.clone()),
            Self::End { job, .. } => ActionKey::End(job.clone()),
            Self::Refund { job, .. } => ActionKey::Refund(job.clone()),
            Self::Withdraw { token } => ActionKey::Withdraw(token.clone()),
        }
    }
}

impl ActionKey {
    /// The job that it is about, if it is about one.
    pub const fn job(&self) -> Option<&JobId> {
        match self {
            Self::Offer(_) | Self::Withdraw(_) => None,
            Self::Decline(job)
            | Self::Start(job)
            | Self::Claim(job)
            | Self::Settle(job)
            | Self::End(job)
            | Self::Refund(job) => Some(job),
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

/// How far an action has come. It is remembered for a while after it was done or refused; then the network is the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActionState<Tx = TransactionId> {
    /// Waits for the sender.
    Queued {
        /// Why it was not sent yet, where something is in the way (no coins, fee above the cap, no endpoint).
        waiting: Option<String>,
    },
    /// Sent, not done.
    Sent {
        /// The newest transaction that carries it; a replacement has another hash.
        tx: Tx,
    },
    /// Done.
    Mined {
        tx: Tx,
        /// The height at which it was done.
        block: u64,
    },
    /// The network is already as the action would make it: claimed, closed.
    AlreadyDone {
        /// How it is.
        why: String,
    },
    /// The market won't do it. Asked for again, it is tried again after a while.
    Refused {
        /// Its error in words.
        error: String,
    },
}

impl<Tx> ActionState<Tx> {
    /// The same with the transaction's name in other words.
    pub fn map_tx<T>(self, name: impl FnOnce(Tx) -> T) -> ActionState<T> {
        match self {
            Self::Queued { waiting } => ActionState::Queued { waiting },
            Self::Sent { tx } => ActionState::Sent { tx: name(tx) },
            Self::Mined { tx, block } => ActionState::Mined { tx: name(tx), block },
            Self::AlreadyDone { why } => ActionState::AlreadyDone { why },
            Self::Refused { error } => ActionState::Refused { error },
        }
    }
}
