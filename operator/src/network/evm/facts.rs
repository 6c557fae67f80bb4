//! What the market says of jobs: read for many in one call, and not again before something can have changed.

use std::{
    collections::HashMap,
    sync::Mutex,
    time::{Duration, Instant},
};

use hawser_market::JobId;

use super::{Inner, lock, read};
use crate::network::evm::{Block, EvmError, Job, JobStatus};

/// Jobs in one call: about a million gas, of which endpoints give tens.
const AT_ONCE: usize = 100;
/// A running job changes by a log that is read, by an action of ours, or with time; in case of anything else it is read
/// again after so long.
const STEADY: Duration = Duration::from_secs(10);
/// Any other is read once a block; on a chain that stands still, after so long.
const AWAITED: Duration = Duration::from_secs(5);
/// Jobs that somebody asked for within this time are read along with others.
const WANTED: Duration = Duration::from_mins(1);
const FORGOTTEN: Duration = Duration::from_mins(10);

/// What is known of jobs.
#[derive(Debug, Default)]
pub(super) struct Facts {
    known: Mutex<HashMap<JobId, Fact>>,
    /// Held while some are read: who waits for it finds what it wants read with the others.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Clone, Debug)]
struct Fact {
    job: Option<Job>,
    /// The newest block when it was read; none where something has happened since.
    at: Option<Block>,
    read: Instant,
    wanted: Instant,
}

impl Fact {
    const fn unread(now: Instant) -> Self {
        Self { job: None, at: None, read: now, wanted: now }
    }

    /// The job, where it need not be read again.
    fn fresh(&self, head: Option<Block>, now: Instant) -> Option<&Job> {
        let (job, at) = (self.job.as_ref()?, self.at?);
        let age = now.saturating_duration_since(self.read);
        let good = if job.status == JobStatus::Running { age < STEADY } else { Some(at) == head && age < AWAITED };
        good.then_some(job)
    }

    /// Whether it is worth reading along with another one.
    fn is_due_soon(&self, head: Option<Block>, now: Instant) -> bool {
        let half = now.saturating_duration_since(self.read) >= STEADY / 2;
        self.fresh(head, now).is_none_or(|_| half) && now.saturating_duration_since(self.wanted) < WANTED
    }
}

impl Facts {
    /// Something has happened to a job.
    pub(super) fn touch(&self, id: JobId) {
        if let Some(fact) = lock(&self.known).get_mut(&id) {
            fact.at = None;
        }
    }

    /// A reorganisation: nothing that was read needs to hold any more.
    pub(super) fn touch_all(&self) {
        lock(&self.known).values_mut().for_each(|fact| fact.at = None);
    }

    fn known(&self, id: JobId, head: Option<Block>, now: Instant) -> Option<Job> {
        let mut known = lock(&self.known);
        let fact = known.entry(id).or_insert_with(|| Fact::unread(now));
        fact.wanted = now;
        fact.fresh(head, now).cloned()
    }

    /// This job and others that are to be read, the longest unread first.
    fn due(&self, id: JobId, head: Option<Block>, now: Instant) -> Vec<JobId> {
        let mut known = lock(&self.known);
        known.retain(|_, fact| now.saturating_duration_since(fact.wanted) < FORGOTTEN);
        let mut due: Vec<_> =
            known.iter().filter(|(other, fact)| **other != id && fact.is_due_soon(head, now)).collect();
        due.sort_by_key(|(_, fact)| (fact.at.is_some(), fact.read));
        [id].into_iter().chain(due.into_iter().map(|(id, _)| *id)).take(AT_ONCE).collect()
    }

    fn learn(&self, jobs: &[Job], head: Option<Block>, now: Instant) {
        let mut known = lock(&self.known);
        for job in jobs {
            let fact = known.entry(job.id).or_insert_with(|| Fact::unread(now));
            (fact.job, fact.at, fact.read) = (Some(job.clone()), head, now);
        }
    }

    /// The market tells the start deadline until the start only; afterwards it says when the job was ordered.
    fn add_start_deadlines(&self, jobs: &mut [Job]) {
        let known = lock(&self.known);
        for job in jobs.iter_mut().filter(|job| job.start_deadline.is_none()) {
            job.start_deadline = known.get(&job.id).and_then(|fact| fact.job.as_ref()?.start_deadline);
        }
    }

    fn status(&self, id: JobId) -> Option<JobStatus> {
        Some(lock(&self.known).get(&id)?.job.as_ref()?.status)
    }
}

/// How far a job has come. Only a reorganisation takes it back, or an endpoint that has forgotten.
const fn rank(status: JobStatus) -> u8 {
    match status {
        JobStatus::None => 0,
        JobStatus::Open => 1,
        JobStatus::Running => 2,
        JobStatus::Ended => 3,
        JobStatus::Closed => 4,
    }
}

impl Inner {
    /// A job as the market holds it.
    pub(super) async fn fact(&self, id: JobId) -> Result<Job, EvmError> {
        let head = || self.observed.borrow().head.map(|head| head.block);
        if let Some(job) = self.facts.known(id, head(), Instant::now()) {
            return Ok(job);
        }
        let _turn = self.facts.turn.lock().await;
        if let Some(job) = self.facts.known(id, head(), Instant::now()) {
            return Ok(job);
        }
        let (at, began) = (head(), Instant::now());
        let due = self.facts.due(id, at, began);
        let jobs = self.read_jobs(&due).await?;
        self.facts.learn(&jobs, at, began);
        jobs.into_iter().find(|job| job.id == id).ok_or_else(|| EvmError::Malformed {
            endpoint: self.pool.endpoint(),
            method: "job".into(),
            message: format!("it leaves out job {id}"),
        })
    }

    /// Reads jobs in few calls, so that they need not be read one by one afterwards.
    pub(super) async fn read_ahead(&self, ids: &[JobId]) -> Result<(), EvmError> {
        for some in ids.chunks(AT_ONCE) {
            let (at, began) = (self.observed.borrow().head.map(|head| head.block), Instant::now());
            let jobs = self.read_jobs(some).await?;
            self.facts.learn(&jobs, at, began);
        }
        Ok(())
    }

    async fn read_jobs(&self, ids: &[JobId]) -> Result<Vec<Job>, EvmError> {
        let mut jobs = read::jobs(&self.pool, self.spec.market, ids).await?;
        self.facts.add_start_deadlines(&mut jobs);
        let before = |job: &Job| self.facts.status(job.id).map_or(rank(JobStatus::Open), rank);
        let lost: Vec<_> = jobs.iter().filter(|job| rank(job.status) < before(job)).map(|job| job.id).collect();
        if lost.is_empty() {
            return Ok(jobs);
        }
        // Much would be stopped and given up for it: another endpoint is asked before that is believed.
        let others = read::second_opinion(&self.pool, self.spec.market, &lost).await.unwrap_or_default();
        for job in &mut jobs {
            let other = others.iter().find(|other| other.id == job.id && rank(other.status) > rank(job.status));
            if let Some(other) = other {
                tracing::warn!(job = %job.id, endpoint = self.pool.endpoint(), "the endpoint has forgotten a job that another one knows");
                *job = other.clone();
            }
        }
        Ok(jobs)
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::{B256, U256};

    use super::*;
    use crate::network::evm::GpuSeconds;

    fn id(number: u64) -> JobId {
        JobId(B256::from(U256::from(number)))
    }

    fn job(number: u64, status: JobStatus) -> Job {
        Job {
            id: id(number),
            status,
            attestor: None,
            duration_seconds: 1,
            start_deadline: None,
            started: None,
            end: None,
            ending: false,
            refundable_from: None,
            used: GpuSeconds(0),
            deposit: U256::ZERO,
            paid: U256::ZERO,
        }
    }

    fn block(number: u64) -> Block {
        Block { number, hash: B256::from(U256::from(number)) }
    }

    #[test]
    fn a_running_job_is_read_again_after_a_while_and_any_other_at_each_block() {
        use JobStatus::{Closed, Ended, None, Open, Running};
        let t = Instant::now();
        for (status, head, after, fresh) in [
            (Running, 1, 9, true),
            (Running, 5, 9, true),
            (Running, 5, 10, false),
            (Open, 1, 4, true),
            (Open, 2, 0, false),
            (Open, 1, 5, false),
            (Ended, 2, 0, false),
            (Closed, 2, 0, false),
            (None, 2, 0, false),
        ] {
            let facts = Facts::default();
            facts.learn(&[job(1, status)], Some(block(1)), t);
            let known = facts.known(id(1), Some(block(head)), t + Duration::from_secs(after));
            assert_eq!(known.is_some(), fresh, "{status:?} {head} {after}");
        }
    }

    #[test]
    fn a_job_to_which_something_happened_is_read_again() {
        let (facts, t) = (Facts::default(), Instant::now());
        facts.learn(&[job(1, JobStatus::Running)], Some(block(1)), t);
        facts.touch(id(1));
        assert_eq!(facts.known(id(1), Some(block(1)), t), None);
    }

    #[test]
    fn a_started_job_keeps_the_start_deadline_that_it_had() {
        let (facts, deadline) = (Facts::default(), hawser_market::timestamp(1000));
        let open = Job { start_deadline: Some(deadline), ..job(1, JobStatus::Open) };
        facts.learn(&[open], Some(block(1)), Instant::now());
        let mut read = [job(1, JobStatus::Running), job(2, JobStatus::Running)];
        facts.add_start_deadlines(&mut read);
        assert_eq!(read.map(|job| job.start_deadline), [Some(deadline), None]);
    }

    #[test]
    fn jobs_that_are_due_soon_are_read_along_and_those_nobody_asks_for_are_not() {
        let (facts, t) = (Facts::default(), Instant::now());
        let s = Duration::from_secs;
        for number in 0..300 {
            facts.known(id(number), Some(block(1)), t);
        }
        assert_eq!(facts.due(id(7), Some(block(1)), t).len(), AT_ONCE);
        let all: Vec<_> = (0..300).map(|number| job(number, JobStatus::Running)).collect();
        facts.learn(&all, Some(block(1)), t);
        assert_eq!(facts.due(id(7), Some(block(2)), t + s(4)), [id(7)], "the others were just read");
        assert_eq!(facts.due(id(7), Some(block(3)), t + s(5)).len(), AT_ONCE);
        assert_eq!(facts.due(id(7), Some(block(9)), t + s(61)), [id(7)], "nobody has asked for the others");
    }
}
