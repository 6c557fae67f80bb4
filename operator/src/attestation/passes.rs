//! Passes: what lets an attestor that enrolled before in among strangers, without a look at anything that is kept.

use hawser_attestation::{Attestor, Knock, Pass};
use hawser_market::JobId;

/// What passes are made of: the key of the service's certificate, which every replica has and no pod. Nothing else has
/// to be kept for them.
#[derive(Clone, Default)]
pub(super) struct Passes {
    present: Vec<u8>,
    /// Of the certificate before it: its passes are good until the service ends.
    former: Option<Vec<u8>>,
}

impl std::fmt::Debug for Passes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passes")
    }
}

impl Passes {
    /// The service goes on by this key.
    pub(super) fn renew(&mut self, key: &str) {
        if self.present != key.as_bytes() {
            let former = std::mem::replace(&mut self.present, key.as_bytes().to_vec());
            self.former = (!former.is_empty()).then_some(former);
        }
    }

    pub(super) fn give(&self, job: JobId, attestor: Attestor) -> Pass {
        Pass::new(&self.present, job, attestor)
    }

    pub(super) fn open(&self, knock: &Knock) -> bool {
        [Some(&self.present), self.former.as_ref()]
            .into_iter()
            .flatten()
            .any(|key| !key.is_empty() && knock.is_good(key))
    }
}

#[cfg(test)]
mod tests {
    use hawser_attestation::Digest;

    use super::*;

    fn knock(passes: &Passes) -> Knock {
        let (job, attestor) = (JobId(Digest::repeat_byte(1)), Attestor::repeat_byte(2));
        Knock { job, attestor, pass: passes.give(job, attestor) }
    }

    #[test]
    fn a_pass_is_good_for_its_certificate_and_the_next() {
        let mut passes = Passes::default();
        assert!(!passes.open(&knock(&passes)), "before there is a key");
        passes.renew("a");
        let first = knock(&passes);
        passes.renew("a");
        assert!(passes.open(&first));
        passes.renew("b");
        assert!(passes.open(&first) && passes.open(&knock(&passes)));
        passes.renew("c");
        assert!(!passes.open(&first));
        assert!(!passes.open(&Knock { attestor: Attestor::ZERO, ..knock(&passes) }));
    }

    #[test]
    fn another_replica_with_the_same_certificate_takes_the_pass() {
        let (mut one, mut other) = (Passes::default(), Passes::default());
        one.renew("a");
        other.renew("a");
        assert!(other.open(&knock(&one)));
    }
}
