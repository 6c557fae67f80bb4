//! What is remembered of each job while this process runs. Cheap to lose: who is behind an id, since when something has
//! been seen, and at which version a status was written last. After a restart patience begins anew.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hawser_crds::ComputeJob;
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

use super::PodRefused;
use super::lasting::Timers;
use super::written::Written;
use crate::controllers::Shared;
use crate::controllers::gpu_offer::memory::OfferMemory;
use crate::controllers::packed::Packed;
use crate::controllers::work::Backoffs;
use crate::network::JobId;

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

/// Of all jobs.
#[derive(Default)]
pub(crate) struct JobMemory {
    jobs: Mutex<HashMap<JobId, ObjectRef<Packed>>>,
    written: Mutex<Written>,
    gone: Mutex<HashMap<JobId, Instant>>,
    closed: Mutex<HashMap<JobId, u64>>,
    pods_refused: Mutex<HashMap<JobId, PodRefused>>,
    pub(crate) timers: Timers,
}

impl JobMemory {
    pub(crate) fn note_job(&self, id: &JobId, job: &ComputeJob) {
        locked(&self.jobs).insert(id.clone(), reference(job));
    }

    pub(crate) fn job(&self, id: &JobId) -> Option<ObjectRef<Packed>> {
        locked(&self.jobs).get(id).cloned()
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
    pub(crate) fn forget_job(&self, id: &JobId, job: &ComputeJob) {
        let mut jobs = locked(&self.jobs);
        if jobs.get(id).is_some_and(|holder| *holder != reference(job)) {
            // What is kept under the id is another one's.
            return;
        }
        jobs.remove(id);
        drop(jobs);
        locked(&self.gone).remove(id);
        locked(&self.closed).remove(id);
        locked(&self.pods_refused).remove(id);
        self.timers.forget(id);
    }

    /// Why the API server does not take a job's pod; none once it does.
    pub(crate) fn pod_refused(&self, id: &JobId) -> Option<PodRefused> {
        locked(&self.pods_refused).get(id).cloned()
    }

    pub(crate) fn note_pod_refused(&self, id: &JobId, refused: PodRefused) {
        locked(&self.pods_refused).insert(id.clone(), refused);
    }

    pub(crate) fn note_pod_taken(&self, id: &JobId) {
        locked(&self.pods_refused).remove(id);
    }

    /// Whether the market shows at this block that a job is closed.
    pub(crate) fn note_closed(&self, id: &JobId, closed: bool, head: u64) {
        let mut since = locked(&self.closed);
        if closed {
            since.entry(id.clone()).or_insert(head);
        } else {
            since.remove(id);
        }
    }

    /// For how many blocks a job was seen to be closed without a break; none while it is not.
    pub(crate) fn closed_for(&self, id: &JobId, head: u64) -> Option<u64> {
        locked(&self.closed).get(id).map(|since| head.saturating_sub(*since))
    }

    /// Whether the market shows now that a job is gone.
    pub(crate) fn note_gone(&self, id: &JobId, gone: bool) {
        let mut since = locked(&self.gone);
        if gone {
            since.entry(id.clone()).or_insert_with(Instant::now);
        } else {
            since.remove(id);
        }
    }

    /// For how long the market has shown without a break that a job is gone.
    pub(crate) fn gone_for(&self, id: &JobId) -> Duration {
        locked(&self.gone).get(id).map_or(Duration::ZERO, Instant::elapsed)
    }
}

/// How a job is found in the cache.
fn reference(job: &ComputeJob) -> ObjectRef<Packed> {
    ObjectRef::new(&job.name_any()).within(&job.namespace().unwrap_or_default())
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
        memory.forget_job(&JobId::from("0x00"), &job);
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
        let (memory, id) = (JobMemory::default(), &JobId::from("0x00"));
        memory.note_job(id, &job("first"));
        memory.note_closed(id, true, 7);
        memory.forget_job(id, &job("second"));
        assert_eq!(memory.job(id).map(|job| job.name), Some("first".to_owned()));
        assert_eq!(memory.closed_for(id, 9), Some(2));
        memory.forget_job(id, &job("first"));
        assert_eq!((memory.job(id), memory.closed_for(id, 9)), (None, None));
    }
}
