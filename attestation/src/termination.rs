//! meter's termination message: the newest voucher and unconfirmed lines, where kubelet keeps them.

use alloy::primitives::Address;
use serde::{Deserialize, Serialize};

use crate::{Line, SignedVoucher};

/// What Kubernetes keeps of a container's termination message at most, in bytes.
pub const MAX_TERMINATION_BYTES: usize = 4096;
/// What meter writes of it. Kubelet divides 12 KiB by all containers of a pod and cuts what is longer: this many bytes
/// survive with six containers, where the job's own are three and others may be injected.
const WRITTEN_BYTES: usize = 2048;

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
    /// Reads the message from a pod's status. What stands after it is the rest of an older, longer one: meter was killed
    /// between writing and cutting.
    pub fn parse(text: &str) -> Result<Self, TerminationError> {
        if text.len() > MAX_TERMINATION_BYTES {
            return Err(TerminationError::TooLong(text.len()));
        }
        Ok(Self::deserialize(&mut serde_json::Deserializer::from_str(text))?)
    }

    /// The message as it is written. Oldest lines are left out until it fits.
    pub fn to_text(mut self) -> Result<String, TerminationError> {
        loop {
            let text = serde_json::to_string(&self)?;
            if text.len() <= WRITTEN_BYTES {
                return Ok(text);
            }
            if self.lines.is_empty() {
                return Err(TerminationError::TooLong(text.len()));
            }
            self.lines.remove(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use alloy::{primitives::B256, signers::local::PrivateKeySigner};

    use super::*;
    use crate::{EvidenceRoot, MarketId};
    use hawser_market::{GpuSeconds, JobId};

    fn message(lines: usize, bytes: usize) -> TerminationMessage {
        let key = PrivateKeySigner::from_bytes(&B256::repeat_byte(1)).unwrap();
        let (market, job) = (MarketId::default(), JobId(B256::repeat_byte(7)));
        let root = EvidenceRoot(B256::repeat_byte(0xff));
        let voucher = SignedVoucher::sign(&key, market, job, GpuSeconds(u64::MAX), root).unwrap();
        let line = |n: usize| Line { body: format!("{n:0bytes$}"), signature: voucher.signature };
        let lines = (0..lines).map(line).collect();
        TerminationMessage { attestor: key.address(), voucher, sequence: u64::MAX, last: true, lines }
    }

    #[test]
    fn a_message_over_a_longer_one_that_was_not_cut_yet_is_read() {
        let (short, long) = (message(0, 0), message(1, 1200).to_text().unwrap());
        let mut text = short.clone().to_text().unwrap();
        text.push_str(&long[text.len()..]);
        assert_eq!(TerminationMessage::parse(&text).unwrap(), short);
        assert!(TerminationMessage::parse("can't get final child's PID from pipe").is_err());
        assert!(TerminationMessage::parse("").is_err());
    }

    /// Kubelet divides 12 KiB by all containers of a pod.
    #[test]
    fn what_is_written_survives_in_a_pod_of_six_containers() {
        for (lines, bytes, kept) in [(0, 0, 0), (1, 1200, 1), (16, 300, 2), (16, 3300, 0)] {
            let whole = message(lines, bytes);
            let text = whole.clone().to_text().unwrap();
            assert!(text.len() <= 12 * 1024 / 6, "{lines} lines of {bytes} bytes are {}", text.len());
            let read = TerminationMessage::parse(&text).unwrap();
            assert_eq!(read.voucher, whole.voucher);
            assert!(read.lines.len() >= kept, "{} of {lines} lines of {bytes} bytes", read.lines.len());
            assert!(whole.lines.ends_with(&read.lines), "the oldest go first");
        }
    }
}
