//! What is remembered of each job while this process runs. Cheap to lose: who is behind an id, since when something has
//! been seen, and at which version a status was written last. After a restart patience begins anew.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hawser_crds::ComputeJob;

use super::PodRefused;
use super::lasting::Timers;
use super::written::Written;
use crate::controllers::Shared;
use crate::controllers::gpu_offer::memory::OfferMemory;
use crate::controllers::watch::name_of;
use crate::controllers::work::{Backoffs, Name};
use crate::network::{JobId, On};
use crate::objects::order_of;

/// What a look at a job has at hand.
pub(crate) struct JobContext {
    pub shared: Arc<Shared>,
    pub memory: Arc<JobMemory>,
    /// What an order's decline costs its offer, and how the API server treated its pods, are remembered with the offer.
    pub offers: Arc<OfferMemory>,
}

impl AsRef<Backoffs> for JobContext {
    fn as_ref(&self) -> &Backoffs {
        &self.shared.backoffs
    }
}

/// Of all jobs, by their objects' names.
#[derive(Default)]
pub(crate) struct JobMemory {
    /// Whose order this is: so the networks tell what has changed.
    orders: Mutex<HashMap<On<JobId>, Name>>,
    written: Mutex<Written>,
    gone: Mutex<HashMap<Name, Instant>>,
    closed: Mutex<HashMap<Name, u64>>,
    pods_refused: Mutex<HashMap<Name, PodRefused>>,
    pub(crate) timers: Timers,
}

impl JobMemory {
    pub(crate) fn note_order(&self, job: &ComputeJob) {
        if let Some(source) = &job.spec.source {
            locked(&self.orders).insert(order_of(source), name_of(job));
        }
    }

    /// The job whose order this is.
    pub(crate) fn of_order(&self, order: &On<JobId>) -> Option<Name> {
        locked(&self.orders).get(order).cloned()
    }

    /// The version of a job at which its status was written last.
    pub(crate) fn note_written(&self, job: &ComputeJob, version: Option<String>) {
        locked(&self.written).write(job, version, Instant::now());
    }

    /// For how long a cache has shown a job as it was before what was written last; none where it shows that.
    pub(crate) fn behind(&self, job: &ComputeJob) -> Option<Duration> {
        locked(&self.written).behind(job)
    }

    /// What was kept of a job but for what was written last: a look at it as it was before it ended may follow.
    pub(crate) fn forget_job(&self, job: &ComputeJob) {
        let name = &name_of(job);
        if let Some(order) = job.spec.source.as_ref().map(order_of) {
            let mut orders = locked(&self.orders);
            // Another one may have it.
            if orders.get(&order) == Some(name) {
                orders.remove(&order);
            }
        }
        locked(&self.gone).remove(name);
        locked(&self.closed).remove(name);
        locked(&self.pods_refused).remove(name);
        self.timers.forget(name);
    }

    /// Why the API server does not take a job's pod; none once it does.
    pub(crate) fn pod_refused(&self, job: &Name) -> Option<PodRefused> {
        locked(&self.pods_refused).get(job).cloned()
    }

    pub(crate) fn note_pod_refused(&self, job: &Name, refused: PodRefused) {
        locked(&self.pods_refused).insert(job.clone(), refused);
    }

    pub(crate) fn note_pod_taken(&self, job: &Name) {
        locked(&self.pods_refused).remove(job);
    }

    /// Whether the market shows at this block that a job is closed.
    pub(crate) fn note_closed(&self, job: &Name, closed: bool, head: u64) {
        let mut since = locked(&self.closed);
        if closed {
            since.entry(job.clone()).or_insert(head);
        } else {
            since.remove(job);
        }
    }

    /// For how many blocks a job was seen to be closed without a break; none while it is not.
    pub(crate) fn closed_for(&self, job: &Name, head: u64) -> Option<u64> {
        locked(&self.closed).get(job).map(|since| head.saturating_sub(*since))
    }

    /// Whether the market shows now that a job is gone.
    pub(crate) fn note_gone(&self, job: &Name, gone: bool) {
        let mut since = locked(&self.gone);
        if gone {
            since.entry(job.clone()).or_insert_with(Instant::now);
        } else {
            since.remove(job);
        }
    }

    /// For how long the market has shown without a break that a job is gone.
    pub(crate) fn gone_for(&self, job: &Name) -> Duration {
        locked(&self.gone).get(job).map_or(Duration::ZERO, Instant::elapsed)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_job_that_has_ended_is_behind_where_the_cache_shows_it_as_it_was_before() {
        let job: ComputeJob = serde_json::from_value(json!({
            "apiVersion": "hawser.dev/v1alpha1", "kind": "ComputeJob",
            "metadata": {"name": "j", "uid": "u", "resourceVersion": "7"},
            "spec": {"offerRef": "o", "workload": {"image": "i", "gpus": 1}}
        }))
        .unwrap();
        let memory = JobMemory::default();
        memory.note_written(&job, Some("9".to_owned()));
        memory.forget_job(&job);
        assert!(memory.behind(&job).is_some());
    }

    #[test]
    fn what_is_kept_of_a_job_is_told_from_that_of_another_one_with_its_id() {
        let job = |network: &str, name: &str| -> ComputeJob {
            serde_json::from_value(json!({
                "apiVersion": "hawser.dev/v1alpha1", "kind": "ComputeJob", "metadata": {"name": name, "namespace": "t"},
                "spec": {"offerRef": "o", "workload": {"image": "i", "gpus": 1}, "source": {"network": network,
                    "jobId": "7", "customer": "c", "seconds": 1, "deposit": "1", "price": "1", "block": 1}}
            }))
            .unwrap()
        };
        let (memory, first, second) = (JobMemory::default(), job("n", "first"), job("n", "second"));
        let other = job("other network", "other");
        for job in [&first, &other] {
            memory.note_order(job);
            memory.note_closed(&name_of(job), true, 7);
        }
        let known = |network: &str| memory.of_order(&On::new(network, "7")).map(|(_, name)| name);
        let closed = |job: &ComputeJob| memory.closed_for(&name_of(job), 9);
        memory.forget_job(&second);
        assert_eq!((known("n").as_deref(), closed(&first)), (Some("first"), Some(2)));
        memory.forget_job(&first);
        assert_eq!((known("n"), closed(&first)), (None, None));
        assert_eq!((known("other network").as_deref(), closed(&other)), (Some("other"), Some(2)));
    }
}
