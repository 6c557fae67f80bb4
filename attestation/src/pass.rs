//! What an attestor that proved itself before sends ahead of TLS, so that it need not wait among strangers.

use alloy::primitives::{Address, B256, keccak256};
use hawser_market::JobId;

/// What lets an attestor in that proved itself before: the operator gives it on the stream, so nobody else in the pod
/// knows it. It proves nothing but that its holder need not wait among strangers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass(pub B256);

impl Pass {
    /// Of one attestor of one job. Nothing has to be kept for it: whoever knows `secret` makes the same again.
    pub fn new(secret: &[u8], job: JobId, attestor: Address) -> Self {
        let text = [b"hawser attestation pass\0", secret, job.0.as_slice(), attestor.as_slice()].concat();
        Self(keccak256(text))
    }
}

/// What an attestor with a pass sends before TLS. Bytes: magic 8, job 32, attestor 20, pass 32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Knock {
    /// The job.
    pub job: JobId,
    /// Its attestor.
    pub attestor: Address,
    /// What the operator gave it.
    pub pass: Pass,
}

impl Knock {
    /// Length in bytes.
    pub const BYTES: usize = 92;
    /// How it begins. TLS begins otherwise, with a byte 22.
    pub const MAGIC: [u8; 8] = *b"HAWSER1\n";

    /// As it is sent.
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&Self::MAGIC);
        bytes[8..40].copy_from_slice(self.job.0.as_slice());
        bytes[40..60].copy_from_slice(self.attestor.as_slice());
        bytes[60..].copy_from_slice(self.pass.0.as_slice());
        bytes
    }

    /// As it came; `None` for something else.
    pub fn from_bytes(bytes: &[u8; Self::BYTES]) -> Option<Self> {
        let pass = Pass(B256::from_slice(&bytes[60..]));
        let knock =
            Self { job: JobId(B256::from_slice(&bytes[8..40])), attestor: Address::from_slice(&bytes[40..60]), pass };
        (bytes[..8] == Self::MAGIC).then_some(knock)
    }

    /// Whether the pass is the one that `secret` makes.
    pub fn is_good(&self, secret: &[u8]) -> bool {
        let wanted = Pass::new(secret, self.job, self.attestor);
        // In a time that tells nothing of how much of it is right.
        wanted.0.iter().zip(self.pass.0.iter()).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn knock() -> Knock {
        let (job, attestor) = (JobId(B256::repeat_byte(7)), Address::repeat_byte(9));
        Knock { job, attestor, pass: Pass::new(b"secret", job, attestor) }
    }

    #[test]
    fn a_knock_is_read_as_it_was_sent_and_nothing_else_is_one() {
        let bytes = knock().to_bytes();
        assert_eq!(Knock::from_bytes(&bytes), Some(knock()));
        let mut other = bytes;
        other[0] = 22;
        assert_eq!(Knock::from_bytes(&other), None);
    }

    #[test]
    fn a_pass_is_good_for_one_attestor_of_one_job_and_one_secret() {
        assert!(knock().is_good(b"secret"));
        assert!(!knock().is_good(b"another"));
        assert!(!Knock { job: JobId(B256::ZERO), ..knock() }.is_good(b"secret"));
        assert!(!Knock { attestor: Address::ZERO, ..knock() }.is_good(b"secret"));
        assert!(!Knock { pass: Pass(B256::ZERO), ..knock() }.is_good(b"secret"));
    }
}
