use alloy::primitives::Address;
use serde::{Deserialize, Serialize};

use crate::{Line, SignedVoucher};

/// What Kubernetes keeps of a container's termination message, in bytes.
pub const MAX_TERMINATION_BYTES: usize = 4096;

/// What meter leaves in its termination message at every report: kubelet keeps it in the pod's status, so the newest
/// voucher outlives meter, the operator and the network between them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TerminationMessage {
    /// Who signed the voucher.
    pub attestor: Address,
    /// The newest voucher.
    pub voucher: SignedVoucher,
    /// Sequence of the line that it stands for.
    pub sequence: u64,
    /// No report comes after it.
    pub last: bool,
    /// The newest lines that the operator has not confirmed, oldest first, as many as there is room for: with them the
    /// evidence is whole even when the operator never heard of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<Line>,
}

/// Why a termination message can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TerminationError {
    /// Longer than Kubernetes makes them.
    #[error("the termination message has {0} bytes, Kubernetes keeps at most {MAX_TERMINATION_BYTES}")]
    TooLong(usize),
    /// Not one of meter's.
    #[error("the termination message is not one that meter writes: {0}")]
    Json(#[from] serde_json::Error),
}

impl TerminationMessage {
    /// Reads the message from a pod's status.
    pub fn parse(text: &str) -> Result<Self, TerminationError> {
        if text.len() > MAX_TERMINATION_BYTES {
            return Err(TerminationError::TooLong(text.len()));
        }
        Ok(serde_json::from_str(text)?)
    }

    /// The message as it is written. Oldest lines are left out until it fits.
    pub fn to_text(mut self) -> Result<String, TerminationError> {
        loop {
            let text = serde_json::to_string(&self)?;
            if text.len() <= MAX_TERMINATION_BYTES {
                return Ok(text);
            }
            if self.lines.is_empty() {
                return Err(TerminationError::TooLong(text.len()));
            }
            self.lines.remove(0);
        }
    }
}
