//! From a `DepinNetwork` whose wallet is open to a network in use.

use std::{fmt, sync::Arc};

use hawser_crds::{DepinNetwork, DepinNetworkStatus};
use tokio_util::sync::CancellationToken;

use super::{AccountId, JobId, Network, OfferId, OfferTerms, RequestCounter, SpecError};
use crate::fence::Fence;

/// Who sends, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wallet {
    pub account: AccountId,
    /// What it sends to, in words: `chain 1`.
    pub sends_to: String,
}

/// What is known to be the provider's, so that none of its orders is passed over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Terms of the cluster's offers.
    pub terms: Vec<OfferTerms>,
    /// Offers that were seen on the network, or were to be posted.
    pub offers: Vec<OfferId>,
    /// Jobs, by which a network may know their offers.
    pub jobs: Vec<JobId>,
}

/// What a network goes on from.
#[derive(Debug)]
pub struct Start {
    /// What an earlier process has left in the object's status.
    pub stored: DepinNetworkStatus,
    /// What is known to be the provider's.
    pub known: Known,
    /// Stops it.
    pub cancel: CancellationToken,
    /// Nothing is sent without the lease.
    pub fence: Fence,
    /// Counts requests to its endpoints.
    pub requests: Arc<dyn RequestCounter>,
}

type Starter = Box<dyn FnOnce(Start) -> Result<Arc<dyn Network>, SpecError> + Send>;

/// A network whose wallet is open, and that was not started yet.
pub struct Prepared {
    /// Who would send.
    pub wallet: Wallet,
    start: Starter,
}

impl Prepared {
    /// From what starts it.
    pub fn new(
        wallet: Wallet,
        start: impl FnOnce(Start) -> Result<Arc<dyn Network>, SpecError> + Send + 'static,
    ) -> Self {
        Self { wallet, start: Box::new(start) }
    }

    /// Connects in the background and begins to send what is asked for. Returns at once: [`Network::status`] says how it
    /// goes. Needs a tokio runtime.
    pub fn start(self, with: Start) -> Result<Arc<dyn Network>, SpecError> {
        (self.start)(with)
    }
}

/// Opens a network of a kind that this operator does not know by itself; none where it is unknown here too.
pub type OtherKinds = Arc<dyn Fn(&DepinNetwork) -> Option<Prepared> + Send + Sync>;

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("wallet", &self.wallet).finish_non_exhaustive()
    }
}
