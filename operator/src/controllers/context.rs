use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use alloy::primitives::B256;
use hawser_crds::{ComputeJob, GpuOffer};
use hawser_market::{JobId, OfferId};
use jiff::Timestamp;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::ObjectRef;
use kube::{Client, ResourceExt};

use super::Error;
use super::cache::Cache;
use super::cluster_network::ClusterNetwork;
use super::compute_job::{PodRefused, Timers};
use super::depin_network::report::Start;
use super::events::Events;
use super::gpu_offer::around::Surroundings;
use super::gpu_offer::memory::Offers;
use super::gpu_offer::terms::ClusterId;
use super::listed::Lists;
use super::networks::Networks;
use super::packed::Packed;
use super::unreadable::Unreadable;
use super::work::{Backoffs, Due, Name};
use super::written::Written;
use crate::attestation::Attestations;
use crate::config::Config;
use crate::health::Work;
use crate::inventory::Reservations;
use crate::inventory::SharedInventory;
use crate::metrics::Metrics;

/// A watch that was silent for so long is away, and opening it anew did not bring it back.
const OLD: Duration = Duration::from_secs(45);

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
    /// Jobs that are not settled.
    pub jobs: Cache<Packed>,
    pub offers: Cache<DeserializeGuard<GpuOffer>>,
    /// What the cluster has, who holds it, and who wants it.
    pub inventory: SharedInventory,
    pub lists: Lists,
    /// Offers that are due for a look.
    pub offers_due: Due<Name>,
    pub cluster_network: ClusterNetwork,
    pub memory: Arc<Memory>,
    pub reservations: Reservations,
    pub backoffs: Arc<Backoffs>,
    /// Looks that run.
    pub work: Work,
    /// What offers rest on outside of themselves.
    pub around: Surroundings,
    pub memory_of_offers: Arc<Offers>,
    pub unreadable: Unreadable,
}

impl Context {
    /// An offer as the cache has it.
    pub(crate) fn offer(&self, namespace: &str, name: &str) -> Option<Arc<DeserializeGuard<GpuOffer>>> {
        self.offers.store.get(&ObjectRef::new(name).within(namespace))
    }

    /// A job that is not settled, as the cache has it.
    pub(crate) fn job(&self, namespace: &str, name: &str) -> Option<Arc<Packed>> {
        self.jobs.store.get(&ObjectRef::new(name).within(namespace))
    }

    /// A network's time: its chain's, or this machine's where no block was seen.
    pub(crate) fn time_on(&self, network: &str) -> Timestamp {
        let network = self.networks.get(network);
        let time = network.and_then(|network| network.observed().borrow().time_now(Instant::now()));
        time.unwrap_or_else(Timestamp::now)
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

impl AsRef<Backoffs> for Context {
    fn as_ref(&self) -> &Backoffs {
        &self.backoffs
    }
}

/// How a job is found in the cache.
fn reference(job: &ComputeJob) -> ObjectRef<Packed> {
    ObjectRef::new(&job.name_any()).within(&job.namespace().unwrap_or_default())
}

/// What would be cheap to lose: who is behind an id, since when something has been seen, and which wallets can't be opened.
#[derive(Default)]
pub(crate) struct Memory {
    jobs: Mutex<HashMap<JobId, ObjectRef<Packed>>>,
    offers: Mutex<HashMap<OfferId, ObjectRef<DeserializeGuard<GpuOffer>>>>,
    written: Mutex<Written>,
    gone: Mutex<HashMap<JobId, Instant>>,
    closed: Mutex<HashMap<JobId, u64>>,
    pods_refused: Mutex<HashMap<JobId, PodRefused>>,
    withdrawn: Mutex<HashMap<OfferId, u64>>,
    wallets: Mutex<HashMap<String, (B256, Start)>>,
    pub(crate) timers: Timers,
}

impl Memory {
    /// Why the wallet of a network can't be opened, if this was found out with just these secrets: a keystore costs a
    /// second to try.
    pub(crate) fn refused_wallet(&self, network: &str, made_from: B256) -> Option<Start> {
        locked(&self.wallets).get(network).filter(|(tried, _)| *tried == made_from).map(|(_, why)| why.clone())
    }

    pub(crate) fn refuse_wallet(&self, network: &str, made_from: B256, why: Start) {
        locked(&self.wallets).insert(network.to_owned(), (made_from, why));
    }

    pub(crate) fn learn_job(&self, id: JobId, job: &ComputeJob) {
        locked(&self.jobs).insert(id, reference(job));
    }

    pub(crate) fn job(&self, id: JobId) -> Option<ObjectRef<Packed>> {
        locked(&self.jobs).get(&id).cloned()
    }

    /// The version of a job at which its status was written last.
    pub(crate) fn wrote(&self, job: &ComputeJob, version: Option<String>) {
        locked(&self.written).write(job, version, Instant::now());
    }

    /// For how long a cache has shown a job as it was before what was written last; none where it shows that.
    pub(crate) fn behind(&self, job: &ComputeJob) -> Option<Duration> {
        locked(&self.written).behind(job)
    }

    /// What was kept of a job but for what was written last: a look at it as it was before it ended may follow.
    pub(crate) fn forget_job(&self, id: JobId, job: &ComputeJob) {
        let mut jobs = locked(&self.jobs);
        if jobs.get(&id).is_some_and(|holder| *holder != reference(job)) {
            // What is kept under the id is another one's.
            return;
        }
        jobs.remove(&id);
        drop(jobs);
        locked(&self.gone).remove(&id);
        locked(&self.closed).remove(&id);
        locked(&self.pods_refused).remove(&id);
        self.timers.forget(id);
    }

    /// What was kept of an offer that is gone, under all its ids.
    pub(crate) fn forget_offer(&self, (namespace, name): &Name) {
        let mut offers = locked(&self.offers);
        let is_it = |offer: &ObjectRef<_>| offer.name == *name && offer.namespace.as_ref() == Some(namespace);
        let ids: Vec<OfferId> = offers.iter().filter(|(_, offer)| is_it(offer)).map(|(id, _)| *id).collect();
        for id in &ids {
            offers.remove(id);
        }
        self.forget_withdrawn(ids.into_iter());
    }

    pub(crate) fn forget_wallet(&self, network: &str) {
        locked(&self.wallets).remove(network);
    }

    pub(crate) fn learn_offer(&self, id: OfferId, offer: &GpuOffer) {
        let reference = ObjectRef::new(&offer.name_any()).within(&offer.namespace().unwrap_or_default());
        locked(&self.offers).insert(id, reference);
    }

    pub(crate) fn offer(&self, id: OfferId) -> Option<ObjectRef<DeserializeGuard<GpuOffer>>> {
        locked(&self.offers).get(&id).cloned()
    }

    /// Why the API server does not take a job's pod; none once it does.
    pub(crate) fn pod_refused(&self, id: JobId) -> Option<PodRefused> {
        locked(&self.pods_refused).get(&id).cloned()
    }

    pub(crate) fn refuse_pod(&self, id: JobId, refused: Option<PodRefused>) {
        let mut all = locked(&self.pods_refused);
        match refused {
            Some(refused) => drop(all.insert(id, refused)),
            None => drop(all.remove(&id)),
        }
    }

    /// For how many blocks a job was seen to be closed without a break; none while it is not.
    pub(crate) fn closed(&self, id: JobId, closed: bool, head: u64) -> Option<u64> {
        let mut since = locked(&self.closed);
        if !closed {
            since.remove(&id);
            return None;
        }
        Some(head.saturating_sub(*since.entry(id).or_insert(head)))
    }

    /// The block at which an offer was first seen to take no orders.
    pub(crate) fn withdrawn(&self, offer: OfferId, head: u64) -> u64 {
        *locked(&self.withdrawn).entry(offer).or_insert(head)
    }

    /// They take orders again, or their object is gone: one that is made anew may be sold under the same ids.
    pub(crate) fn forget_withdrawn(&self, offers: impl Iterator<Item = OfferId>) {
        let mut since = locked(&self.withdrawn);
        for offer in offers {
            since.remove(&offer);
        }
    }

    /// For how long the market has shown without a break that a job is gone.
    pub(crate) fn gone(&self, id: JobId, gone: bool) -> Duration {
        let mut since = locked(&self.gone);
        if !gone {
            since.remove(&id);
            return Duration::ZERO;
        }
        since.entry(id).or_insert_with(Instant::now).elapsed()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::controllers::reasons::Reason;

    #[test]
    fn a_wallet_is_refused_without_a_try_only_while_its_secrets_are_the_same() {
        let (memory, made_from) = (Memory::default(), B256::repeat_byte(1));
        let why = Start::Refused { reason: Reason::WrongPassword, message: "no".to_owned() };
        assert_eq!(memory.refused_wallet("net", made_from), None);
        memory.refuse_wallet("net", made_from, why.clone());
        assert_eq!(memory.refused_wallet("net", made_from), Some(why));
        assert_eq!(memory.refused_wallet("net", B256::repeat_byte(2)), None);
        assert_eq!(memory.refused_wallet("other", made_from), None);
    }

    #[test]
    fn a_job_that_has_ended_is_behind_where_the_cache_shows_it_as_it_was_before() {
        let job: ComputeJob = serde_json::from_value(json!({
            "apiVersion": "hawser.dev/v1alpha1", "kind": "ComputeJob",
            "metadata": {"name": "j", "uid": "u", "resourceVersion": "7"},
            "spec": {"offerRef": "o", "workload": {"image": "i", "gpus": 1}}
        }))
        .unwrap();
        let memory = Memory::default();
        memory.wrote(&job, Some("9".to_owned()));
        memory.forget_job(JobId(alloy::primitives::B256::ZERO), &job);
        assert!(memory.behind(&job).is_some());
    }

    #[test]
    fn what_is_kept_of_a_job_is_not_forgotten_for_another_one_with_its_id() {
        let job = |name: &str| -> ComputeJob {
            serde_json::from_value(json!({
                "apiVersion": "hawser.dev/v1alpha1", "kind": "ComputeJob", "metadata": {"name": name, "namespace": "t"},
                "spec": {"offerRef": "o", "workload": {"image": "i", "gpus": 1}}
            }))
            .unwrap()
        };
        let (memory, id) = (Memory::default(), JobId(alloy::primitives::B256::ZERO));
        memory.learn_job(id, &job("first"));
        memory.closed(id, true, 7);
        memory.forget_job(id, &job("second"));
        assert_eq!(memory.job(id).map(|job| job.name), Some("first".to_owned()));
        assert_eq!(memory.closed(id, true, 9), Some(2));
        memory.forget_job(id, &job("first"));
        assert_eq!((memory.job(id), memory.closed(id, true, 9)), (None, Some(0)));
    }

    #[test]
    fn nothing_is_kept_of_an_offer_that_is_gone_nor_of_a_network() {
        let offer = |name: &str| -> GpuOffer {
            serde_json::from_value(json!({
                "apiVersion": "hawser.dev/v1alpha1", "kind": "GpuOffer", "metadata": {"name": name, "namespace": "t"},
                "spec": {"networkRef": "n", "gpu": {"product": "p"}, "price": {"perGpuHour": "1", "token": "0x"}}
            }))
            .unwrap()
        };
        let memory = Memory::default();
        let id = |byte| OfferId(alloy::primitives::FixedBytes::repeat_byte(byte));
        for (byte, name) in [(1, "o"), (2, "o"), (3, "other")] {
            memory.learn_offer(id(byte), &offer(name));
            memory.withdrawn(id(byte), 7);
        }
        memory.forget_offer(&("t".to_owned(), "o".to_owned()));
        assert_eq!((memory.offer(id(1)), memory.offer(id(2))), (None, None));
        assert!(memory.offer(id(3)).is_some());
        assert_eq!(locked(&memory.withdrawn).len(), 1);
        // Under its earlier terms it is known by its status alone.
        assert_eq!((memory.withdrawn(id(4), 8), memory.withdrawn(id(4), 9)), (8, 8));
        memory.forget_withdrawn([id(4)].into_iter());
        assert_eq!(memory.withdrawn(id(4), 10), 10);
        let why = Start::Refused { reason: Reason::WrongPassword, message: "no".to_owned() };
        memory.refuse_wallet("net", B256::ZERO, why);
        memory.forget_wallet("net");
        assert!(locked(&memory.wallets).is_empty());
    }
}
