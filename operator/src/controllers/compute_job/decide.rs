//! The next step of one job, from what is seen of it. Pure and level-triggered: the same sight gives the same step, so
//! an operator that was killed anywhere goes on by looking again.

use std::time::Duration;

use hawser_crds::{ComputeJobStatus, Outcome as OutcomeKind, Phase};
use jiff::Timestamp;

use super::ended::Outcome;
use super::observation::{ChainView, JobObservation};
use super::voucher::{self, Vouchers};
use super::{outcome, status};
use crate::controllers::allocation::Allocation;
use crate::network::{JobStatus, NetworkAction, OrderRef, Payment};
use crate::objects::pod_state::PodState;
use crate::settlement::plan::{self, Due, Step};

/// What to do now.
#[derive(Clone, Debug)]
pub(crate) struct Decision {
    pub actions: Vec<NetworkAction>,
    pub pod: PodStep,
    pub status: ComputeJobStatus,
    /// Look again after this, even if nothing changes.
    pub again: Duration,
    /// Nothing is owed any more: the job's own finalizer can go if it is being deleted.
    pub done: bool,
}

/// What to do with the pods, with each that needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PodStep {
    Keep,
    Create,
    Delete,
    /// Its last voucher stands in the job's status: the finalizer can go.
    Release,
}

/// While the operator's own cache is behind.
const CACHED: Duration = Duration::from_millis(100);
/// While something on chain is awaited.
const AWAITED: Duration = Duration::from_secs(2);
/// While the job runs: a customer's `endJob` gives 60 s of notice.
const RUNNING: Duration = Duration::from_secs(10);
/// While its chain can't be seen: soon at first, since an operator that takes over has yet to connect and the job's meter
/// waits for it; then the longer already, the less often, down to this. There is nothing to be found out.
const UNSEEN: Duration = Duration::from_secs(30);
/// So long after its program's end a pod that has not ended is taken to be held by a container that is not the job's own.
const LINGERS: Duration = Duration::from_mins(1);
/// When nothing is expected.
const IDLE: Duration = Duration::from_mins(5);

/// How a decision came out, for the status.
#[derive(Clone, Debug)]
pub(crate) struct Assessment {
    pub outcome: Option<Outcome>,
    /// The order passed the offer's policy (in this decision or an earlier one).
    pub accepted: bool,
    /// The market holds nothing of the job any more, and neither the cluster.
    pub settled: bool,
}

/// Decides.
pub(crate) fn decide(seen: &JobObservation) -> Decision {
    let outcome = outcome::outcome(seen);
    let stored = seen.stored();
    let accepted = outcome::accepted(seen) || may_be_accepted(seen, outcome.as_ref());
    let final_voucher = outcome.is_some() && seen.reports_are_over();
    let saved = Vouchers::of(seen).are_saved(seen);
    let actions = actions(seen, outcome.as_ref(), accepted, final_voucher);
    // Only once the outcome is written and the pod is let go: a settled job is not looked at again.
    let let_go = stored.outcome.is_some() && !seen.pods.any_has_finalizer();
    let settled = stored.settled_at.is_some() || final_voucher && saved && let_go && closed(seen);
    let assessment = Assessment { outcome, accepted, settled };
    let status = status::status(seen, &assessment);
    Decision {
        pod: pod_step(seen, &assessment, &stored, final_voucher && saved),
        again: again(seen, &assessment),
        done: settled,
        actions,
        status,
    }
}

fn may_be_accepted(seen: &JobObservation, outcome: Option<&Outcome>) -> bool {
    let live = match &seen.chain {
        ChainView::Local => true,
        ChainView::Unknown(_) => false,
        ChainView::Known { job, .. } => matches!(job.status, JobStatus::Open | JobStatus::Running),
    };
    live && outcome.is_none() && seen.allocation == Allocation::Allocated
}

fn actions(
    seen: &JobObservation,
    outcome: Option<&Outcome>,
    accepted: bool,
    final_voucher: bool,
) -> Vec<NetworkAction> {
    let job_id = || seen.id.clone();
    let vouchers = Vouchers::of(seen);
    let claimable = vouchers.claimable();
    // Whatever else is to come: without it no use of the job is paid, and none of its vouchers lost.
    if seen.unstarted
        && (outcome.is_none() || claimable.voucher.is_some())
        && let Some(attestor) = seen.attestor()
    {
        return vec![NetworkAction::Start { job: job_id(), attestor }];
    }
    let ChainView::Known { job, time, .. } = &seen.chain else { return Vec::new() };
    if outcome.is_none()
        && accepted
        && let Some(attestor) = seen.leader().map(|a| a.attestor).filter(|a| !job.is_attestor(*a))
        && matches!(job.status, JobStatus::Open | JobStatus::Running)
    {
        return vec![NetworkAction::Start { job: job_id(), attestor }];
    }
    let order = order(seen);
    let step = plan::next(job, claimable.gpu_seconds(), final_voucher, *time, seen.policy);
    if let (Step::Claim(_) | Step::End { .. }, Some(last), true) =
        (step, claimable.voucher, settles(seen, outcome, step))
    {
        // It closes the job: how that ended, and the voucher, are written down before.
        let written = seen.stored().outcome.is_some() && voucher::stored(seen).as_ref() == Some(last);
        return written.then(|| NetworkAction::Settle { job: job_id(), voucher: *last, order }).into_iter().collect();
    }
    match step {
        Step::Claim(_) => {
            claimable.voucher.iter().map(|voucher| NetworkAction::Claim { job: job_id(), voucher: **voucher }).collect()
        }
        // One word, so that many can share a transaction.
        Step::End { expect_used } => {
            let reason = outcome.map_or_else(String::new, |o| o.reason.to_string());
            vec![NetworkAction::End { job: job_id(), order, expect_used, reason }]
        }
        Step::Decline => {
            let reason = outcome.map_or_else(String::new, |o| o.on_chain.clone());
            vec![NetworkAction::Decline { job: job_id(), order, reason }]
        }
        Step::Refund => vec![NetworkAction::Refund { job: job_id(), order }],
        Step::Wait | Step::Done => Vec::new(),
    }
}

/// Whether the last voucher and the end go in one call. It gives the customer no reason, so only a job whose customer got what
/// was bought is ended by it. Where the market won't, claim and end follow one by one. A network that pays once closes the job
/// by that: there it is the only claim.
fn settles(seen: &JobObservation, outcome: Option<&Outcome>, step: Step) -> bool {
    match seen.policy.payment {
        Payment::OnceAtTheEnd => true,
        Payment::Cumulative => {
            let is_over = matches!(step, Step::Claim(Due::Over) | Step::End { .. });
            is_over && !seen.unsettleable && outcome.is_some_and(|outcome| outcome.kind == OutcomeKind::Completed)
        }
    }
}

fn order(seen: &JobObservation) -> OrderRef {
    let source = seen.job.spec.source.as_ref();
    OrderRef::new(source.map(|source| source.customer.as_str()), source.and_then(|source| source.order_hash.as_deref()))
}

fn closed(seen: &JobObservation) -> bool {
    match &seen.chain {
        ChainView::Local => true,
        ChainView::Unknown(_) => false,
        ChainView::Known { job, deep, .. } => match job.status {
            JobStatus::Closed => *deep,
            // Told only after a while.
            JobStatus::None => true,
            JobStatus::Open | JobStatus::Running | JobStatus::Ended => false,
        },
    }
}

fn pod_step(seen: &JobObservation, assessment: &Assessment, stored: &ComputeJobStatus, saved: bool) -> PodStep {
    let pods = &seen.pods;
    if assessment.outcome.is_none() {
        let to_make = assessment.accepted && !pods.is_complete() && seen.container_started().is_none();
        return if to_make { PodStep::Create } else { PodStep::Keep };
    }
    // Why it ends is written down before a pod is touched: an operator that dies between the two would otherwise take its
    // own deletion for somebody else's.
    let written = stored.outcome.is_some();
    if pods.any_has_finalizer() && pods.are_terminated(seen.lasting.leaving) && saved && written {
        PodStep::Release
    } else if written && pods.iter().any(is_to_stop) && !program_stops_itself(seen) {
        PodStep::Delete
    } else {
        PodStep::Keep
    }
}

/// A pod that runs on though its job is over.
pub(crate) fn is_to_stop(pod: &PodState) -> bool {
    !pod.is_finished && pod.deleted.is_none()
}

/// The customer's container has ended: kubelet stops meter, which makes its last report, and the pod stays for its log.
/// Not where somebody has put another container into the pod, which runs on and holds the GPUs.
fn program_stops_itself(seen: &JobObservation) -> bool {
    seen.pods.iter().any(|pod| pod.customer.ended.is_some())
        && seen.pods.iter().all(|pod| pod.customer.ended.is_some() || !is_to_stop(pod))
        && seen.lasting.lingering < LINGERS
}

fn again(seen: &JobObservation, assessment: &Assessment) -> Duration {
    if assessment.settled {
        return IDLE;
    }
    let started = seen.stored().started_at.is_some();
    let runs = match &seen.chain {
        ChainView::Known { job, .. } => job.status == JobStatus::Running,
        ChainView::Unknown(_) => true,
        ChainView::Local => false,
    };
    let steady = assessment.outcome.is_none() && started && runs;
    let uncached = assessment.outcome.is_none()
        && !assessment.accepted
        && seen.offer.is_some()
        && seen.allocation == Allocation::NotCached;
    let base = match (uncached, steady) {
        (true, _) => CACHED,
        (false, true) => RUNNING,
        (false, false) => AWAITED,
    };
    if !seen.chain_is_seen() {
        return base.min(AWAITED).max(seen.lasting.unseen.min(UNSEEN));
    }
    let now = seen.time().unwrap_or(seen.now);
    let next = appointments(seen).filter(|at| *at > now).min();
    next.and_then(|at| Duration::try_from(at.duration_since(now)).ok())
        .map_or(base, |until| base.min(until + Duration::from_millis(50)))
}

/// Moments at which something is due without anything else changing.
fn appointments(seen: &JobObservation) -> impl Iterator<Item = Timestamp> {
    let job = seen.chain_job();
    let pull = seen.offer.as_ref().map(|o| o.spec.pull.clone());
    let waits = seen.container_started().is_none();
    let after = |seconds: u32| {
        let started = job?.started.filter(|_| waits)?;
        started.checked_add(jiff::SignedDuration::from_secs(i64::from(seconds))).ok()
    };
    [
        job.and_then(|j| j.end),
        pull.as_ref().and_then(|p| after(p.free_seconds)),
        pull.as_ref().and_then(|p| after(p.timeout_seconds)),
    ]
    .into_iter()
    .flatten()
}

/// The word for the column.
pub(crate) fn phase(seen: &JobObservation, assessment: &Assessment) -> Phase {
    match &assessment.outcome {
        Some(outcome) if assessment.settled => match outcome.kind {
            OutcomeKind::Completed => Phase::Succeeded,
            OutcomeKind::Failed | OutcomeKind::Reorged => Phase::Failed,
            OutcomeKind::Declined | OutcomeKind::Duplicate => Phase::Declined,
        },
        Some(_) => Phase::Settling,
        None if !assessment.accepted => Phase::Pending,
        None if seen.pods.started().is_some() => Phase::Running,
        None => Phase::Starting,
    }
}

#[cfg(test)]
mod tests;
