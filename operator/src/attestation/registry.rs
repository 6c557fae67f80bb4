use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use alloy::primitives::Address;
use hawser_attestation::{Chain, JobId, SignedVoucher};
use hawser_proto::attestation::{Directive, OperatorMessage, operator_message};
use jiff::Timestamp;
use tokio::sync::{broadcast, mpsc};

use super::{
    directives::Told,
    evidence::{EvidenceStore, Stored},
    expected::{Attested, ExpectedJob, Heard, JobRef, Rejection},
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
    ledger: Ledger,
    stream: Option<Stream>,
    refused: Option<Rejection>,
    since: Timestamp,
}

/// An attestor's evidence; whoever holds the lock is the one who writes it.
pub(super) type Ledger = Arc<tokio::sync::Mutex<Option<(Address, Stored)>>>;

/// The open stream to a job's sidecar.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    pub(super) attestor: Address,
    pub(super) sender: mpsc::Sender<OperatorMessage>,
    pub(super) told: Told,
}

impl Stream {
    /// Tells the sidecar what it does not know yet; `false`: it does not listen.
    fn tell(&mut self, expected: &ExpectedJob) -> bool {
        let due = self.told.due(expected, self.attestor);
        due.into_iter().all(|directive| self.sender.try_send(message(directive)).is_ok())
    }
}

fn message(directive: Directive) -> OperatorMessage {
    OperatorMessage { message: Some(operator_message::Message::Directive(directive)) }
}

impl Attestations {
    /// Nothing expected yet.
    pub fn new(evidence: EvidenceStore) -> Self {
        let changed = broadcast::Sender::new(1024);
        Self(Arc::new(Inner { evidence, jobs: Mutex::default(), changed }))
    }

    /// What is known of a job now. Tells the job's sidecar what it has to know of it.
    pub fn expect(&self, expected: ExpectedJob) {
        let url = self.0.evidence.public_url(expected.id);
        let mut jobs = self.jobs();
        let entry = jobs.entry(expected.job.clone()).or_insert_with(|| Entry {
            attested: None,
            ledger: Ledger::default(),
            stream: None,
            refused: None,
            since: Timestamp::now(),
            expected: expected.clone(),
        });
        entry.expected = expected;
        entry.recall(url);
        // A sidecar that does not read is cut off: it comes back and is told everything again.
        if entry.stream.as_mut().is_some_and(|stream| !stream.tell(&entry.expected)) {
            entry.stream = None;
        }
    }

    /// The job is over, or was never one: no report of it is taken any more.
    pub fn forget(&self, job: &JobRef) {
        self.jobs().remove(job);
    }

    /// What the reports of a job's sidecar came to; `None` before one enrolled.
    pub fn attested(&self, job: &JobRef) -> Option<Attested> {
        let jobs = self.jobs();
        let entry = jobs.get(job)?;
        let mut attested = entry.attested.clone()?;
        attested.rejected = entry.refused.as_ref().map_or(0, |refused| refused.times);
        attested.last_rejection = entry.refused.as_ref().map(|refused| refused.refusal.to_string());
        Some(attested)
    }

    /// What was heard of a job, also before an attestor enrolled; `None` for a job that is not expected.
    pub fn heard(&self, job: &JobRef) -> Option<Heard> {
        let jobs = self.jobs();
        let entry = jobs.get(job)?;
        Some(Heard {
            since: entry.since,
            connected: entry.stream.as_ref().is_some_and(|stream| !stream.sender.is_closed()),
            last_report: entry.attested.as_ref().and_then(|attested| attested.last_report),
            rejection: entry.refused.clone(),
        })
    }

    /// Jobs to look at again: an attestor enrolled, the first voucher came, something was refused for a new reason,
    /// the last report came. Not each report.
    pub fn changed(&self) -> broadcast::Receiver<JobRef> {
        self.0.changed.subscribe()
    }

    pub(super) fn evidence(&self) -> &EvidenceStore {
        &self.0.evidence
    }

    /// What is expected of the job with this id.
    pub(super) fn by_id(&self, id: JobId) -> Option<ExpectedJob> {
        self.jobs().values().map(|entry| &entry.expected).find(|expected| expected.id == id).cloned()
    }

    pub(super) fn expected(&self, job: &JobRef) -> Option<(ExpectedJob, Ledger)> {
        self.jobs().get(job).map(|entry| (entry.expected.clone(), Arc::clone(&entry.ledger)))
    }

    /// A sidecar proved itself: it is the job's attestor from now on, and told what it has to know.
    pub(super) fn enrolled(&self, job: &JobRef, gpu_uuids: &[String], mut stream: Stream) {
        let mut new = false;
        if let Some(entry) = self.jobs().get_mut(job) {
            new = entry.attested.as_ref().is_none_or(|attested| attested.attestor != stream.attestor);
            let url = self.0.evidence.public_url(entry.expected.id);
            let attested = entry.attested.get_or_insert_with(|| nothing_yet(stream.attestor, url));
            if new {
                attested.finished = false;
            }
            attested.attestor = stream.attestor;
            attested.gpu_uuids = gpu_uuids.to_vec();
            entry.stream = stream.tell(&entry.expected).then_some(stream);
        }
        if new {
            self.notify(job);
        }
    }

    /// The evidence of a job's attestor grew by so many reports, or was found in the store.
    pub(super) fn advanced(&self, job: &JobRef, attestor: Address, chain: &Chain, reports: u64, now: Timestamp) {
        let mut notable = false;
        if let Some(entry) = self.jobs().get_mut(job) {
            let url = self.0.evidence.public_url(entry.expected.id);
            let attested = entry.attested.get_or_insert_with(|| nothing_yet(attestor, url));
            if attested.attestor == attestor {
                attested.gpu_uuids.clone_from(&chain.header().gpu_uuids);
                notable |= chain.finished() && !attested.finished;
                attested.finished |= chain.finished();
            }
            attested.accepted += reports;
            if reports > 0 {
                attested.last_report = Some(now);
                notable |= attested.accepted == reports;
            }
            notable |= attested.voucher.is_none();
            attested.offer(attestor, chain.voucher());
        }
        if notable {
            self.notify(job);
        }
    }

    /// A termination message's voucher was checked; its evidence is not stored yet.
    pub(super) fn offer(&self, job: &JobRef, attestor: Address, voucher: SignedVoucher) {
        if let Some(entry) = self.jobs().get_mut(job) {
            let url = self.0.evidence.public_url(entry.expected.id);
            entry.attested.get_or_insert_with(|| nothing_yet(attestor, url)).offer(attestor, voucher);
        }
    }

    /// A termination message's voucher was taken; no more comes from this attestor.
    pub(super) fn terminated(&self, job: &JobRef, attestor: Address, voucher: SignedVoucher) {
        if let Some(entry) = self.jobs().get_mut(job) {
            let url = self.0.evidence.public_url(entry.expected.id);
            let attested = entry.attested.get_or_insert_with(|| nothing_yet(attestor, url));
            attested.finished |= attested.attestor == attestor;
            attested.offer(attestor, voucher);
        }
    }

    /// Something was refused: it reaches the job's status, and a reconcile only where the reason is a new one.
    pub(super) fn refused(&self, job: &JobRef, refusal: &Refusal) {
        let mut new = false;
        if let Some(entry) = self.jobs().get_mut(job) {
            let before = entry.refused.take();
            new = before.as_ref().is_none_or(|before| before.refusal.reason != refusal.reason);
            let times = before.map_or(0, |before| before.times) + 1;
            entry.refused = Some(Rejection { at: Timestamp::now(), times, refusal: refusal.clone() });
        }
        if new {
            self.notify(job);
        }
    }

    fn notify(&self, job: &JobRef) {
        // Nobody listens while the operator starts and stops.
        let _ = self.0.changed.send(job.clone());
    }

    fn jobs(&self) -> MutexGuard<'_, HashMap<JobRef, Entry>> {
        // A panic elsewhere must not stop every other job's attestation; each change here leaves an entry whole.
        self.0.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// After a restart: the market knows the attestor, and the job's status its newest voucher.
    fn recall(&mut self, url: String) {
        let Some(started) = self.expected.started else { return };
        let attested = self.attested.get_or_insert_with(|| nothing_yet(started.attestor, url));
        if let Some(voucher) = self.expected.voucher
            && let Ok(signer) = voucher.attestor(self.expected.market)
        {
            attested.offer(signer, voucher);
        }
    }
}

impl Attested {
    fn offer(&mut self, attestor: Address, voucher: SignedVoucher) {
        if self.voucher.is_none_or(|had| had.gpu_seconds <= voucher.gpu_seconds) {
            self.voucher = Some(voucher);
            self.voucher_attestor = Some(attestor);
        }
    }
}

fn nothing_yet(attestor: Address, evidence_url: String) -> Attested {
    Attested {
        attestor,
        gpu_uuids: Vec::new(),
        voucher: None,
        voucher_attestor: None,
        accepted: 0,
        rejected: 0,
        last_rejection: None,
        last_report: None,
        finished: false,
        evidence_url,
    }
}
