//! What is expected of each job, and what was attested for it: the one table of this service. Controllers write what they
//! expect and read what came of it; connections write what they were told.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use hawser_attestation::{Attestor, EvidenceChain, Knock, Pass, SignedVoucher, digest};
use hawser_market::{AttestorTail, JobId};
use hawser_proto::attestation::RejectReason;
use jiff::Timestamp;
use tokio::sync::broadcast;

use super::{
    cards::DeadCard,
    entry::{Entry, Member, Stream},
    evidence::{EvidenceStore, StoreHealth},
    evidence_writer::EvidenceWriter,
    expected::{Attested, ExpectedJob, ExpectedMeter, JobRef, MemberRef, Rejection, StreamHealth},
    holders::{Holders, Shown},
    index::Index,
    keys::Keys,
    measure::Measures,
    passes::Passes,
    refusal::Refusal,
};

/// What is expected of, and was attested for, every job that is not over.
#[derive(Clone, Debug)]
pub struct Attestations(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    evidence: EvidenceStore,
    measures: Measures,
    passes: Mutex<Passes>,
    jobs: Mutex<Jobs>,
    changed: broadcast::Sender<JobRef>,
}

#[derive(Debug, Default)]
struct Jobs {
    // A map has up to twice the room that its entries need.
    entries: HashMap<Arc<JobRef>, Box<Entry>>,
    index: Index,
    holders: Holders,
}

impl Attestations {
    /// Nothing expected yet.
    pub fn new(evidence: EvidenceStore) -> Self {
        Self::measured(evidence, Measures::default())
    }

    /// The same, told in these metrics.
    pub fn measured(evidence: EvidenceStore, measures: Measures) -> Self {
        let changed = broadcast::Sender::new(1024);
        let evidence = evidence.measured(measures.clone());
        let (passes, jobs) = (Mutex::default(), Mutex::default());
        Self(Arc::new(Inner { evidence, measures, passes, jobs, changed }))
    }

    /// What is known of a job now. Tells its members' sidecars what they have to know of it.
    pub fn expect(&self, expected: ExpectedJob) {
        let mut jobs = self.jobs();
        let Jobs { entries, index, .. } = &mut *jobs;
        let job = if let Some((job, before)) = entries.get_key_value(&expected.job) {
            index.change(job, &before.expected, &expected);
            Arc::clone(job)
        } else {
            let job = Arc::new(expected.job.clone());
            index.add(&job, &expected);
            job
        };
        let entry = entries.entry(job).or_insert_with(|| Box::new(Entry::new(expected.clone())));
        entry.expect(expected);
    }

    /// The job is over, or was never one: no report of it is taken any more.
    pub fn forget(&self, job: &JobRef) {
        let mut jobs = self.jobs();
        if let Some((job, entry)) = jobs.entries.remove_entry(job) {
            jobs.index.remove(&job, &entry.expected);
            for member in &entry.members {
                jobs.holders.forget(&MemberRef { job: JobRef::clone(&job), pod: member.pod.to_string() });
            }
        }
    }

    /// What the reports of a job's members came to, in the members' order; of each from when one enrolled for it.
    pub fn attested(&self, job: &JobRef) -> Vec<Attested> {
        let jobs = self.jobs();
        let Some(entry) = jobs.entries.get(job) else { return Vec::new() };
        let evidence_url = self.0.evidence.public_url(entry.expected.id);
        let attested = entry.members.iter().filter_map(|member| member.attested.clone());
        attested.map(|attested| Attested { evidence_url: evidence_url.clone(), ..attested }).collect()
    }

    /// What was heard of a job, also before an attestor enrolled; `None` for a job that is not expected.
    pub fn stream_health(&self, job: &JobRef) -> Option<StreamHealth> {
        self.jobs().entries.get(job).map(|entry| entry.health())
    }

    /// The job's cards that are dead, by its meters' newest reports: their time does not count. Empty where all live,
    /// where NVML is not visible, and before a report.
    pub fn dead_cards(&self, job: &JobRef) -> Vec<DeadCard> {
        let jobs = self.jobs();
        let members = jobs.entries.get(job).into_iter().flat_map(|entry| &entry.members);
        members.flat_map(|member| member.dead.iter().cloned()).collect()
    }

    /// How the evidence store does: while it fails, nothing of running jobs counts.
    pub fn evidence_health(&self) -> StoreHealth {
        self.0.evidence.health()
    }

    /// Jobs to look at again: an attestor enrolled, the first voucher came, something was refused for a new reason,
    /// the last report came. Not each report.
    pub fn changed(&self) -> broadcast::Receiver<JobRef> {
        self.0.changed.subscribe()
    }

    pub(super) fn evidence(&self) -> &EvidenceStore {
        &self.0.evidence
    }

    pub(super) fn measures(&self) -> &Measures {
        &self.0.measures
    }

    /// Passes are made and known by this key from now on.
    pub(super) fn pass_by(&self, key: &str) {
        self.passes().renew(key);
    }

    /// What lets this attestor in among strangers.
    pub(super) fn pass(&self, job: JobId, attestor: Attestor) -> Pass {
        self.passes().give(job, attestor)
    }

    /// Whether a knock's pass is one of ours.
    pub(super) fn opens(&self, knock: &Knock) -> bool {
        self.passes().open(knock)
    }

    /// Whether an expected job's pod has this address.
    pub(super) fn is_pod(&self, address: IpAddr) -> bool {
        self.jobs().index.is_pod(address)
    }

    /// Takes a key that the token of a member's pod enrols; otherwise says when another one is taken.
    pub(super) fn enrol_key(
        &self,
        member: &MemberRef,
        uid: &str,
        attestor: Attestor,
        now: Timestamp,
    ) -> Result<(), Timestamp> {
        let mut jobs = self.jobs();
        let Some(entry) = jobs.entries.get_mut(&member.job) else { return Ok(()) };
        // Of the leader the market may know it from before.
        let known =
            entry.expected.started.filter(|_| entry.expected.leads(&member.pod)).map(|started| started.attestor);
        let Entry { expected, members, .. } = &mut **entry;
        let Some(known_of) = members.iter_mut().find(|known| *known.pod == *member.pod) else { return Ok(()) };
        let is_present = |keys: &Keys| expected.pods.iter().any(|pod| keys.are_of(&pod.uid));
        known_of.keys.retain(|keys| keys.are_of(uid) || is_present(keys));
        if let Some(keys) = known_of.keys.iter_mut().find(|keys| keys.are_of(uid)) {
            return keys.enrol(attestor, now);
        }
        let mut keys = Keys::new(uid, known.unwrap_or_else(|| AttestorTail::of(attestor)));
        let taken = keys.enrol(attestor, now);
        known_of.keys.push(keys);
        taken
    }

    /// What is expected of the job with this id.
    pub(super) fn by_id(&self, id: JobId) -> Option<ExpectedJob> {
        let jobs = self.jobs();
        let job = jobs.index.job(id)?;
        jobs.entries.get(job).map(|entry| entry.expected.clone())
    }

    pub(super) fn expected(&self, member: &MemberRef) -> Option<(ExpectedMeter, EvidenceWriter)> {
        let jobs = self.jobs();
        let entry = jobs.entries.get(&member.job)?;
        Some((entry.meter(&member.pod)?, Arc::clone(&entry.member(&member.pod)?.writer)))
    }

    /// A sidecar proved itself: it is the member's attestor from now on, and told what it has to know.
    pub(super) fn enrolled(&self, member: &MemberRef, gpu_uuids: &[String], stream: Stream) {
        let enrol = |entry: &mut Box<Entry>| entry.enrol(&member.pod, gpu_uuids, stream);
        if self.jobs().entries.get_mut(&member.job).is_some_and(enrol) {
            self.notify(&member.job);
        }
    }

    /// Reports came that are right, and say this of the member's cards. They count when their evidence is stored.
    pub(super) fn reported(&self, member: &MemberRef, attestor: Attestor, dead: Option<Vec<DeadCard>>, now: Timestamp) {
        let notable = self.change(member, |known| {
            if let Some(attested) = known.attested.as_mut().filter(|attested| attested.attestor == attestor) {
                attested.last_report = Some(now);
            }
            known.find_dead(dead)
        });
        if notable.unwrap_or_default() {
            self.notify(&member.job);
        }
    }

    /// Reports came that are right, and show these cards. Other jobs that have one of them, and began later, are not
    /// attested any more.
    pub(super) fn showed(&self, member: &MemberRef, mut shown: Shown) {
        let mut second = Vec::new();
        {
            let mut jobs = self.jobs();
            let Jobs { entries, holders, .. } = &mut *jobs;
            let Some(entry) = entries.get(&member.job) else { return };
            // After its end a job uses no card.
            shown.at = entry.expected.ended.map_or(shown.at, |ended| shown.at.min(ended));
            for shared in holders.show(member, &shown) {
                let Some(other) = entries.get_mut(&shared.second.job).filter(|other| other.card_shared.is_none())
                else {
                    continue;
                };
                tracing::error!(job = %shared.second.job, first = %shared.first, card = %shared.card, "a card is sold twice: {shared}");
                other.card_shared = Some(shared.to_string().into());
                second.push(shared.second.job);
            }
        }
        for job in &second {
            self.notify(job);
        }
    }

    /// Why no report of this job is taken any more, if another one has its card.
    pub(super) fn shared(&self, job: &JobRef) -> Result<(), Refusal> {
        let jobs = self.jobs();
        match jobs.entries.get(job).and_then(|entry| entry.card_shared.as_deref()) {
            Some(shared) => Err(Refusal::new(RejectReason::CardShared, shared)),
            None => Ok(()),
        }
    }

    /// What the newest line in the store says of the member's cards.
    pub(super) fn found(&self, member: &MemberRef, dead: Option<Vec<DeadCard>>) {
        self.change(member, |known| known.find_dead(dead));
    }

    /// Whether this termination message of a meter that was started again was read already.
    pub(super) fn was_read(&self, member: &MemberRef, text: &str) -> bool {
        let jobs = self.jobs();
        let known = jobs.entries.get(&member.job).and_then(|entry| entry.member(&member.pod));
        known.is_some_and(|known| known.earlier_words == Some(digest(text)))
    }

    /// It need not be read again.
    pub(super) fn note_read(&self, member: &MemberRef, text: &str) {
        self.change(member, |known| known.earlier_words = Some(digest(text)));
    }

    /// The evidence of a member's attestor grew by so many reports, or was found in the store.
    pub(super) fn advanced(
        &self,
        member: &MemberRef,
        attestor: Attestor,
        chain: &EvidenceChain,
        reports: u64,
        now: Timestamp,
    ) {
        let notable = self.change(member, |known| {
            let mut notable = false;
            let attested = known.attested_or(attestor);
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
            attested.propose(attestor, chain.voucher());
            notable
        });
        if notable.unwrap_or_default() {
            self.notify(&member.job);
        }
    }

    /// A termination message's voucher was checked; its evidence is not stored yet.
    pub(super) fn propose(&self, member: &MemberRef, attestor: Attestor, voucher: SignedVoucher) {
        self.change(member, |known| known.attested_or(attestor).propose(attestor, voucher));
    }

    /// A termination message's voucher was taken; no more comes from this attestor.
    pub(super) fn terminated(&self, member: &MemberRef, attestor: Attestor, voucher: SignedVoucher) {
        self.change(member, |known| {
            let attested = known.attested_or(attestor);
            attested.finished |= attested.attestor == attestor;
            attested.propose(attestor, voucher);
        });
    }

    /// Something was refused: it reaches the job's status, and a reconcile only where the reason is a new one.
    pub(super) fn refused(&self, job: &JobRef, refusal: &Refusal) {
        let mut new = false;
        if let Some(entry) = self.jobs().entries.get_mut(job) {
            let before = entry.refused.take();
            new = before.as_ref().is_none_or(|before| before.refusal.reason != refusal.reason);
            let times = before.map_or(0, |before| before.times) + 1;
            entry.refused = Some(Rejection { at: Timestamp::now(), times, refusal: refusal.clone() });
        }
        if new {
            self.notify(job);
        }
    }

    /// Changes what is known of a member; none where it is not expected.
    fn change<T>(&self, member: &MemberRef, change: impl FnOnce(&mut Member) -> T) -> Option<T> {
        self.jobs().entries.get_mut(&member.job)?.member_mut(&member.pod).map(change)
    }

    fn notify(&self, job: &JobRef) {
        // Nobody listens while the operator starts and stops.
        let _ = self.0.changed.send(job.clone());
    }

    fn passes(&self) -> MutexGuard<'_, Passes> {
        self.0.passes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn jobs(&self) -> MutexGuard<'_, Jobs> {
        // A panic elsewhere must not stop every other job's attestation; each change here leaves an entry whole.
        self.0.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
