//! What is remembered of each network while this process runs: which wallets can't be opened. Cheap to lose: they are
//! tried once more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hawser_attestation::Digest;

use super::status::Startup;
use crate::controllers::Shared;
use crate::controllers::compute_job::memory::JobMemory;
use crate::controllers::gpu_offer::memory::OfferMemory;
use crate::network::OtherKinds;

/// What a look at a network has at hand.
pub(crate) struct NetworkContext {
    pub shared: Arc<Shared>,
    pub memory: NetworkMemory,
    /// An order that comes again is a job of which the cache may lag, and one that is declined costs its offer.
    pub jobs: Arc<JobMemory>,
    pub offers: Arc<OfferMemory>,
    pub other_kinds: OtherKinds,
}

/// Of all networks.
#[derive(Default)]
pub(crate) struct NetworkMemory {
    wallets: Mutex<HashMap<String, (Digest, Startup)>>,
}

impl NetworkMemory {
    fn wallets(&self) -> MutexGuard<'_, HashMap<String, (Digest, Startup)>> {
        self.wallets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the wallet of a network can't be opened, if this was found out with just these secrets: a keystore costs a
    /// second to try.
    pub(crate) fn refused_wallet(&self, network: &str, made_from: Digest) -> Option<Startup> {
        self.wallets().get(network).filter(|(tried, _)| *tried == made_from).map(|(_, why)| why.clone())
    }

    pub(crate) fn note_refused_wallet(&self, network: &str, made_from: Digest, why: Startup) {
        self.wallets().insert(network.to_owned(), (made_from, why));
    }

    pub(crate) fn forget_wallet(&self, network: &str) {
        self.wallets().remove(network);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reasons::Reason;

    #[test]
    fn a_wallet_is_refused_without_a_try_only_while_its_secrets_are_the_same() {
        let (memory, made_from) = (NetworkMemory::default(), Digest::repeat_byte(1));
        let why = Startup::Refused { reason: Reason::WrongPassword, message: "no".to_owned() };
        assert_eq!(memory.refused_wallet("net", made_from), None);
        memory.note_refused_wallet("net", made_from, why.clone());
        assert_eq!(memory.refused_wallet("net", made_from), Some(why));
        assert_eq!(memory.refused_wallet("net", Digest::repeat_byte(2)), None);
        assert_eq!(memory.refused_wallet("other", made_from), None);
    }

    #[test]
    fn nothing_is_kept_of_a_network_that_is_gone() {
        let memory = NetworkMemory::default();
        let why = Startup::Refused { reason: Reason::WrongPassword, message: "no".to_owned() };
        memory.note_refused_wallet("net", Digest::ZERO, why);
        memory.forget_wallet("net");
        assert!(memory.wallets().is_empty());
    }
}
