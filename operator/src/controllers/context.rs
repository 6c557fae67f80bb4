use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hawser_contracts::{JobId, OfferId};
use hawser_crds::{ComputeJob, GpuOffer};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Client;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::ObjectRef;

use super::Error;
use super::cache::Cache;
use super::compute_job::vacancy::Granted;
use super::events::Events;
use super::gpu_offer::terms::ClusterId;
use super::networks::Networks;
use crate::attestation::Attestations;
use crate::config::Config;
use crate::metrics::Metrics;

/// What every reconcile has at hand.
pub(crate) struct Context {
    pub client: Client,
    pub config: Config,
    pub cluster: ClusterId,
    /// CA of the attestation service, PEM.
    pub attestation_ca: String,
    pub networks: Networks,
    pub attestations: Attestations,
    pub events: Events,
    pub metrics: Metrics,
    pub jobs: Cache<DeserializeGuard<ComputeJob>>,
    pub offers: Cache<DeserializeGuard<GpuOffer>>,
    pub pods: Cache<Pod>,
    pub nodes: Cache<Node>,
    pub memory: Memory,
    pub granted: Granted,
}

impl Context {
    /// Waits until everything was listed once. What is not in a cache before that is not missing.
    pub(crate) async fn ready(&self) -> Result<(), Error> {
        let all = self.jobs.listed().await
            && self.offers.listed().await
            && self.pods.listed().await
            && self.nodes.listed().await;
        if all { Ok(()) } else { Err(Error::Stopping) }
    }
}

/// What would be cheap to lose: who is behind an id, and since when the market has not known a job.
#[derive(Default)]
pub(crate) struct Memory {
    jobs: Mutex<HashMap<JobId, ObjectRef<DeserializeGuard<ComputeJob>>>>,
    offers: Mutex<HashMap<OfferId, ObjectRef<DeserializeGuard<GpuOffer>>>>,
    missing: Mutex<HashMap<JobId, Instant>>,
    cards: Mutex<HashMap<OfferId, String>>,
}

impl Memory {
    pub(crate) fn learn_job(&self, id: JobId, job: &ComputeJob) {
        let reference = ObjectRef::from_obj(&DeserializeGuard(Ok(job.clone())));
        locked(&self.jobs).insert(id, reference);
    }

    pub(crate) fn job(&self, id: JobId) -> Option<ObjectRef<DeserializeGuard<ComputeJob>>> {
        locked(&self.jobs).get(&id).cloned()
    }

    pub(crate) fn forget_job(&self, id: JobId) {
        locked(&self.jobs).remove(&id);
        locked(&self.missing).remove(&id);
    }

    pub(crate) fn learn_offer(&self, id: OfferId, offer: &GpuOffer) {
        let reference = ObjectRef::from_obj(&DeserializeGuard(Ok(offer.clone())));
        locked(&self.offers).insert(id, reference);
    }

    pub(crate) fn offer(&self, id: OfferId) -> Option<ObjectRef<DeserializeGuard<GpuOffer>>> {
        locked(&self.offers).get(&id).cloned()
    }

    /// For how long the market has said without a break that there is no such job.
    pub(crate) fn missing(&self, id: JobId, missing: bool) -> Duration {
        let mut since = locked(&self.missing);
        if !missing {
            since.remove(&id);
            return Duration::ZERO;
        }
        since.entry(id).or_insert_with(Instant::now).elapsed()
    }

    /// Remembers the card that is being posted; gives the one before.
    pub(crate) fn post_card(&self, offer: OfferId, hash: String) -> Option<String> {
        locked(&self.cards).insert(offer, hash)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
