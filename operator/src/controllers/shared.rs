//! What all three controllers share. What one of them remembers is its own: `JobContext`, `OfferContext` and
//! `NetworkContext` lie in the folders of their kinds, and a function takes the smallest of these that it needs.

use std::sync::Arc;
use std::time::Duration;

use hawser_crds::GpuOffer;
use jiff::Timestamp;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::ObjectRef;
use kube::{Client, Resource};

use super::Error;
use super::cache::Cache;
use super::cluster_network::ClusterNetwork;
use super::events::Events;
use super::gpu_offer::around::Surroundings;
use super::gpu_offer::terms::ClusterId;
use super::listed::Lists;
use super::look::Action;
use super::networks::Networks;
use super::packed::Packed;
use super::unreadable::Unreadable;
use super::watch::name_of;
use super::work::{Backoffs, Due, Name};
use crate::attestation::Attestations;
use crate::config::Config;
use crate::health::Work;
use crate::inventory::Reservations;
use crate::inventory::SharedInventory;
use crate::metrics::Metrics;

/// A watch that was silent for so long is away, and opening it anew did not bring it back.
const OLD: Duration = Duration::from_secs(45);

/// What the three controllers have in common: the ways out, the caches, and what is counted of the cluster.
pub(crate) struct Shared {
    pub client: Client,
    pub config: Config,
    pub cluster: ClusterId,
    /// CA of the attestation service, PEM.
    pub attestation_ca: String,
    pub networks: Networks,
    pub attestations: Attestations,
    pub events: Events,
    pub metrics: Metrics,
    /// Jobs that are not settled.
    pub jobs: Cache<Packed>,
    pub offers: Cache<DeserializeGuard<GpuOffer>>,
    /// What the cluster has, who holds it, and who wants it.
    pub inventory: SharedInventory,
    pub lists: Lists,
    /// Offers that are due for a look.
    pub offers_due: Due<Name>,
    pub cluster_network: ClusterNetwork,
    pub reservations: Reservations,
    pub backoffs: Arc<Backoffs>,
    /// Looks that run.
    pub work: Work,
    /// What offers rest on outside of themselves.
    pub around: Surroundings,
    pub unreadable: Unreadable,
}

impl Shared {
    /// An offer as the cache has it.
    pub(crate) fn offer(&self, namespace: &str, name: &str) -> Option<Arc<DeserializeGuard<GpuOffer>>> {
        self.offers.store.get(&ObjectRef::new(name).within(namespace))
    }

    /// A job that is not settled, as the cache has it.
    pub(crate) fn job(&self, namespace: &str, name: &str) -> Option<Arc<Packed>> {
        self.jobs.store.get(&ObjectRef::new(name).within(namespace))
    }

    /// A network's time: its own, or this machine's where nothing was seen of it.
    pub(crate) fn time_on(&self, network: &str) -> Timestamp {
        let time = self.networks.get(network).and_then(|network| network.time_now());
        time.unwrap_or_else(Timestamp::now)
    }

    /// What to do after a failed reconcile: try again, later each time; what was wrong is in the log and in the metrics.
    pub(crate) fn failed<K: Resource>(&self, kind: &'static str, object: &K, error: &Error) -> Action {
        self.metrics.errors(kind).inc();
        let name = name_of(object);
        tracing::warn!(kind, namespace = name.0, object = name.1, %error, "reconcile failed");
        Action::requeue(self.backoffs.failed(kind, name))
    }

    /// Waits until everything was listed once.
    pub(crate) async fn ready(&self) -> Result<(), Error> {
        if self.lists.all().await { Ok(()) } else { Err(Error::Stopping) }
    }

    /// Waits until as much was listed as a network and its orders need.
    pub(crate) async fn ready_for_orders(&self) -> Result<(), Error> {
        if self.lists.market().await { Ok(()) } else { Err(Error::Stopping) }
    }

    /// Whether nothing was heard of nodes or pods for so long that nothing is decided by what is known of them. Where all is well
    /// something is heard every 18 s.
    pub(crate) fn capacity_is_old(&self) -> bool {
        let calls = self.metrics.server_calls();
        let old = |path: &&str| calls.silence(path).is_some_and(|silence| silence > OLD);
        ["/api/v1/nodes", "/api/v1/pods"].iter().any(old)
    }
}

impl AsRef<Backoffs> for Shared {
    fn as_ref(&self) -> &Backoffs {
        &self.backoffs
    }
}
