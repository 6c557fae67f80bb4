//! Why a message was refused: the same words for the sidecar, the log and the job's status.

use std::fmt;

use hawser_proto::attestation::{RejectReason, Rejected};

/// Why a message of a sidecar was refused; nothing of it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// For programs.
    pub reason: RejectReason,
    /// For a person: what was expected and what came.
    pub message: String,
}

impl Refusal {
    pub(crate) fn new(reason: RejectReason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }

    /// The answer on the stream.
    pub(crate) fn answer(&self, sequence: u64) -> Rejected {
        Rejected { sequence, reason: self.reason.into(), message: self.message.clone() }
    }

    /// The reason as one CamelCase word, as conditions and events have it.
    pub fn word(&self) -> &'static str {
        match self.reason {
            RejectReason::Unspecified => "Unspecified",
            RejectReason::Unauthenticated => "Unauthenticated",
            RejectReason::WrongPod => "WrongPod",
            RejectReason::BadSignature => "BadSignature",
            RejectReason::Stale => "Stale",
            RejectReason::BrokenChain => "BrokenChain",
            RejectReason::OutOfBounds => "OutOfBounds",
            RejectReason::UnknownJob => "UnknownJob",
            RejectReason::Unavailable => "Unavailable",
            RejectReason::CardShared => "CardShared",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.word(), self.message)
    }
}

impl std::error::Error for Refusal {}
