use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use hawser_attestation::SignedVoucher;
use tokio::sync::broadcast;

use super::{
    evidence::EvidenceStore,
    expected::{Attested, ExpectedJob, JobRef},
    refusal::Refusal,
};

/// What is expected of, and was attested for, every job that is not over.
#[derive(Clone, Debug)]
pub struct Attestations(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    evidence: EvidenceStore,
    jobs: Mutex<HashMap<JobRef, Entry>>,
    changed: broadcast::Sender<JobRef>,
}

#[derive(Debug)]
struct Entry {
    expected: ExpectedJob,
    attested: Option<Attested>,
}

impl Attestations {
    /// Nothing expected yet.
    pub fn new(evidence: EvidenceStore) -> Self {
        let changed = broadcast::Sender::new(1024);
        Self(Arc::new(Inner { evidence, jobs: Mutex::default(), changed }))
    }

    /// What is known of a job now. Tells the job's sidecar what it has to know of it.
    pub fn expect(&self, expected: ExpectedJob) {
        let mut jobs = self.jobs();
        match jobs.get_mut(&expected.job) {
            Some(entry) => entry.expected = expected,
            None => {
                jobs.insert(expected.job.clone(), Entry { expected, attested: None });
            }
        }
    }

    /// The job is over, or was never one: no report of it is taken any more.
    pub fn forget(&self, job: &JobRef) {
        self.jobs().remove(job);
    }

    /// What the reports of a job's sidecar came to; `None` before one enrolled (to this operator).
    pub fn attested(&self, job: &JobRef) -> Option<Attested> {
        self.jobs().get(job)?.attested.clone()
    }

    /// Takes the voucher from the termination message of a job's meter, by the same checks as a report, and stores
    /// the evidence lines that it brings.
    pub async fn read_termination_message(&self, job: &JobRef, text: &str) -> Result<SignedVoucher, Refusal> {
        let _ = (job, text, &self.0.evidence);
        Err(Refusal::new(hawser_proto::attestation::RejectReason::Unavailable, "not read yet"))
    }

    /// Jobs to look at again: an attestor enrolled, the first voucher came, something was refused for a new reason,
    /// the last report came. Not each report.
    pub fn changed(&self) -> broadcast::Receiver<JobRef> {
        self.0.changed.subscribe()
    }

    fn jobs(&self) -> MutexGuard<'_, HashMap<JobRef, Entry>> {
        // A panic elsewhere must not stop every other job's attestation; each change below is one assignment.
        self.0.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
