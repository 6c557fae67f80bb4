//! Whether a job is over, and why. A table of rules in the order in which they count.

use hawser_crds::ComputeJobStatus;
use hawser_crds::condition::{ACCEPTED, COMPLETE, FAILED};
use jiff::SignedDuration;

use super::observed::{ChainView, Observed};
use super::policy;
use crate::controllers::conditions::{find, is_false, is_true};
use crate::controllers::gpu_offer::worth;
use crate::network::{ChainJob, JobStatus};

/// A job is over, or will be as soon as its pod has stopped and its money is settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub kind: Kind,
    /// One `CamelCase` word.
    pub reason: String,
    /// For a person.
    pub message: String,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The customer got what was bought.
    Complete,
    /// Otherwise.
    Failed,
    /// It never began: turned down.
    Declined,
}

/// Reason of a job whose order the chain has lost.
pub(crate) const REORGED: &str = "Reorged";

/// An order that isn't started so shortly before its deadline is declined: the customer gets everything back without
/// a transaction of its own.
const DECLINE_AHEAD: SignedDuration = SignedDuration::from_secs(10);

#[expect(clippy::unnecessary_wraps, reason = "the rules below return it as it is")]
fn over(kind: Kind, reason: &str, message: impl Into<String>) -> Option<Outcome> {
    Some(Outcome { kind, reason: reason.to_owned(), message: message.into() })
}

/// What the stored status says: a job that is over stays over, for the same reason.
pub(crate) fn stored(status: &ComputeJobStatus) -> Option<Outcome> {
    let conditions = &status.conditions;
    if is_true(conditions, COMPLETE) {
        let c = find(conditions, COMPLETE)?;
        return over(Kind::Complete, &c.reason, &c.message);
    }
    if is_true(conditions, FAILED) {
        let c = find(conditions, FAILED)?;
        let kind = if is_false(conditions, ACCEPTED) { Kind::Declined } else { Kind::Failed };
        return over(kind, &c.reason, &c.message);
    }
    None
}

/// Looks whether the job is over now.
pub(crate) fn outcome(seen: &Observed) -> Option<Outcome> {
    stored(&seen.stored())
        .or_else(|| not_accepted(seen))
        .or_else(|| unwanted(seen))
        .or_else(|| pod_refused(seen))
        .or_else(|| program_ended(seen))
        .or_else(|| chain_says(seen))
        .or_else(|| pod_gone(seen))
        .or_else(|| too_slow(seen))
}

fn accepted(seen: &Observed) -> bool {
    is_true(&seen.stored().conditions, ACCEPTED)
}

fn not_accepted(seen: &Observed) -> Option<Outcome> {
    if accepted(seen) {
        return None;
    }
    let Some(offer) = &seen.offer else {
        let message = format!("there is no GpuOffer {:?} in this namespace", seen.job.spec.offer_ref);
        return if seen.is_local() { None } else { over(Kind::Declined, "NoOffer", message) };
    };
    if let Err(refused) = policy::check(&seen.job, offer) {
        return over(Kind::Declined, refused.reason, refused.message);
    }
    let deposit = seen.job.spec.source.as_ref().map(|source| source.deposit.as_str());
    if let Some(why) = deposit.and_then(|deposit| worth::too_small(deposit, seen.policy.gas_cost)) {
        return over(Kind::Declined, "DepositTooSmall", why);
    }
    if let Some(reason) = seen.unwanted() {
        return over(Kind::Declined, reason, "ended by the provider before it was accepted");
    }
    match &seen.vacancy {
        // A local job waits for room; nobody has paid for it.
        Some(Err(why)) if !seen.is_local() => over(Kind::Declined, "NoCapacity", why),
        _ => None,
    }
}

fn unwanted(seen: &Observed) -> Option<Outcome> {
    let message = match seen.unwanted()? {
        "Deleted" => "the ComputeJob was deleted: what was used is claimed, the rest goes back to the customer",
        _ => "spec.terminate is set: what was used is claimed, the rest goes back to the customer",
    };
    over(Kind::Failed, seen.unwanted()?, message)
}

fn pod_refused(seen: &Observed) -> Option<Outcome> {
    let refused = seen.pod_refused.as_ref().filter(|refused| refused.for_good && seen.pod.is_none())?;
    over(Kind::Failed, "PodRefused", format!("the API server does not take the job's pod: {}", refused.message))
}

fn program_ended(seen: &Observed) -> Option<Outcome> {
    let pod = seen.pod.as_ref()?;
    if let Some(ended) = &pod.customer.ended {
        // Deleted from outside: the exit code is that of the signal, the reason is who sent it.
        if pod.deleted.is_some() && ended.code != 0 {
            return None;
        }
        return match ended.code {
            0 => over(Kind::Complete, "ProgramEnded", "the program ended with exit code 0"),
            code => over(Kind::Failed, &ended.reason, format!("the program ended with exit code {code}")),
        };
    }
    if pod.deleted.is_none() && pod.disruption.is_none() {
        let (reason, message) = pod.failure.as_ref()?;
        return over(Kind::Failed, reason, message);
    }
    None
}

fn chain_says(seen: &Observed) -> Option<Outcome> {
    let ChainView::Known { job, .. } = &seen.chain else {
        return longest_time_up(seen);
    };
    match job.status {
        JobStatus::None => {
            over(Kind::Failed, REORGED, "the chain no longer holds the order: a reorganisation took its block away")
        }
        JobStatus::Closed => over(Kind::Failed, "ClosedOnChain", "the market has closed the job already"),
        JobStatus::Open if seen.now > job.start_deadline => {
            over(Kind::Failed, "StartDeadlinePassed", "the job could not be started in time; everything goes back")
        }
        JobStatus::Running | JobStatus::Ended => time_up(seen, job),
        JobStatus::Open => None,
    }
}

fn time_up(seen: &Observed, job: &ChainJob) -> Option<Outcome> {
    let end = job.end?;
    if seen.now < end {
        return None;
    }
    if job.ending {
        return over(Kind::Complete, "EndedByCustomer", "the customer ended the job");
    }
    if seen.container_started().is_none() {
        return never_started(seen, job.duration_seconds.into());
    }
    over(Kind::Complete, "TimeUp", format!("the {} s that were paid for are over", job.duration_seconds))
}

/// Of a local job, and of one whose chain can't be seen: nobody can have bought more.
fn longest_time_up(seen: &Observed) -> Option<Outcome> {
    let longest = i64::from(seen.offer.as_ref()?.spec.limits.max_seconds);
    let started = seen.container_started()?;
    (seen.now.as_second() - started.as_second() >= longest)
        .then(|| over(Kind::Complete, "TimeUp", format!("the offer's limits.maxSeconds ({longest} s) are over")))?
}

fn pod_gone(seen: &Observed) -> Option<Outcome> {
    let Some(pod) = &seen.pod else {
        let was = seen.stored().pod?;
        return over(
            Kind::Failed,
            "PodDeleted",
            format!("pod {was} is gone: what was used is claimed, the rest goes back"),
        );
    };
    if let Some((reason, message)) = &pod.disruption {
        return over(Kind::Failed, reason, message);
    }
    pod.deleted?;
    over(
        Kind::Failed,
        "PodDeleted",
        format!("pod {} was deleted: what was used is claimed, the rest goes back", pod.name),
    )
}

fn too_slow(seen: &Observed) -> Option<Outcome> {
    if !accepted(seen) {
        return None;
    }
    let pod = seen.pod.as_ref();
    let waits = pod.and_then(|p| p.customer.waiting.clone());
    if let Some((reason, message)) = waits.as_ref().filter(|(reason, _)| reason == "InvalidImageName") {
        return over(Kind::Failed, reason, message);
    }
    let job = seen.chain_job()?;
    match (job.status, job.started) {
        (JobStatus::Open, _) if seen.now + DECLINE_AHEAD >= job.start_deadline => {
            let why = pod.and_then(|p| p.unschedulable.clone()).unwrap_or_else(|| "the pod is not ready".to_owned());
            over(Kind::Failed, "NotStartedInTime", format!("not ready before the start deadline: {why}"))
        }
        (JobStatus::Running, Some(started)) if seen.container_started().is_none() => {
            let timeout = i64::from(seen.offer.as_ref()?.spec.pull.timeout_seconds);
            if seen.now.as_second() - started.as_second() < timeout {
                return None;
            }
            never_started(seen, timeout)
        }
        _ => None,
    }
}

/// kubelet says `PodInitializing` while it waits for meter and while it pulls: only meter's own state tells which.
fn never_started(seen: &Observed, seconds: i64) -> Option<Outcome> {
    let pod = seen.pod.as_ref();
    let (reason, message) = pod.and_then(|p| p.customer.waiting.clone()).unwrap_or_default();
    let initializing = reason == "PodInitializing";
    if initializing && !pod.is_some_and(|p| p.meter_ready) {
        let why = "its meter has not heard that the job is started: see the log of the pod's container meter, and whether it reaches the operator";
        return over(Kind::Failed, "MeterNotReady", format!("the program did not start within {seconds} s: {why}"));
    }
    let why = if initializing { "its image is still being pulled".to_owned() } else { format!("{reason} {message}") };
    over(Kind::Failed, "ImagePullTimeout", format!("the program did not start within {seconds} s: {}", why.trim()))
}
