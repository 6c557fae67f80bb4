//! Whether a job is over, and why. A table of rules in the order in which they count.

use std::time::Duration;

use hawser_crds::Outcome as OutcomeKind;
use jiff::{SignedDuration, Timestamp};

use super::ended::Outcome;
use super::observation::{ChainView, JobObservation};
use super::{expectation, member, policy, pull};
use crate::controllers::allocation::Allocation;
use crate::controllers::gpu_offer::worth;
use crate::inventory::Shortage;
use crate::network::{Job, JobStatus};
use crate::reasons::Reason;

/// An order that isn't started so shortly before its deadline is declined: the customer gets everything back without
/// a transaction of its own.
const DECLINE_AHEAD: SignedDuration = SignedDuration::from_secs(10);

/// So long an order waits for a node that is not ready (kubelet was started again, or lost its API server for a moment), or for
/// news of the nodes.
const NODE_BACK: Duration = Duration::from_mins(1);
/// So much is left of its start window then, for its pod to be made and started.
const START_AHEAD: SignedDuration = SignedDuration::from_secs(30);

/// A chain that makes no block for a job's end is not waited for: so long after it the end is taken as come, by the time
/// that has passed since the newest block. Busy chains make theirs before.
const QUIET_CHAIN: SignedDuration = SignedDuration::from_secs(15);

/// So long a chain must be out of sight before what was last known of a job's end is taken for its end.
const OUT_OF_SIGHT: Duration = Duration::from_mins(1);

/// kubelet has asked again by then for an image that the registry did not have.
const IMAGE_MAY_COME: Duration = Duration::from_secs(30);

/// kubelet starts a meter that has ended again, the first times at once.
const METER_BACK: Duration = Duration::from_secs(15);
/// So long without a report, or three intervals where that is longer, a meter that does not run is lost.
const METER_LOST: Duration = Duration::from_mins(1);

/// Cards that fail for so long, or for two intervals where that is longer, don't come back by themselves.
const GPU_LOST: Duration = Duration::from_secs(30);

#[expect(clippy::unnecessary_wraps, reason = "the rules below return it as it is")]
pub(super) fn conclude(kind: OutcomeKind, reason: Reason, message: impl Into<String>) -> Option<Outcome> {
    Some(Outcome::new(kind, reason, message))
}

/// Looks whether the job is over now.
pub(crate) fn outcome(seen: &JobObservation) -> Option<Outcome> {
    Outcome::stored(&seen.stored())
        .or_else(|| not_accepted(seen))
        .or_else(|| unwanted(seen))
        .or_else(|| pod_refused(seen))
        .or_else(|| program_ended(seen))
        .or_else(|| chain_says(seen))
        .or_else(|| pod_gone(seen))
        .or_else(|| gpu_lost(seen))
        .or_else(|| meter_lost(seen))
        .or_else(|| too_slow(seen))
}

/// A job that has a pod was accepted, though its own object may not say so: that can be a later one of the same order.
pub(super) fn accepted(seen: &JobObservation) -> bool {
    let stored = seen.stored();
    let declined = Outcome::stored(&stored).is_some_and(|outcome| outcome.is_declined());
    stored.accepted_at.is_some() || !seen.pods.is_empty() && !declined
}

fn not_accepted(seen: &JobObservation) -> Option<Outcome> {
    if accepted(seen) {
        return None;
    }
    if let Some(reason) = seen.unwanted() {
        return conclude(OutcomeKind::Declined, reason, "ended by the provider before it was accepted");
    }
    if seen.offer_unreadable {
        // Its field may be corrected in time.
        return if is_late(seen) {
            conclude(OutcomeKind::Declined, Reason::OfferUnreadable, offer_unreadable(seen))
        } else {
            None
        };
    }
    let Some(offer) = &seen.offer else {
        let message = format!("there is no GpuOffer {:?} in this namespace", seen.job.spec.offer_ref);
        return if seen.is_local() { None } else { conclude(OutcomeKind::Declined, Reason::NoOffer, message) };
    };
    if let Err(refused) = policy::check(&seen.job, offer) {
        return conclude(OutcomeKind::Declined, refused.reason, refused.message);
    }
    let deposit = seen.job.spec.source.as_ref().map(|source| source.deposit.as_str());
    if let Some(why) = deposit.and_then(|deposit| worth::too_small(deposit, seen.order_cost)) {
        return conclude(OutcomeKind::Declined, Reason::DepositTooSmall, why);
    }
    match &seen.allocation {
        // A local job waits for room; nobody has paid for it.
        Allocation::Short(shortage) if !seen.is_local() && !may_come(seen, shortage) => {
            conclude(OutcomeKind::Declined, Reason::NoCapacity, &shortage.why)
        }
        _ => None,
    }
}

/// What is said of an offer that is there and can't be read.
pub(super) fn offer_unreadable(seen: &JobObservation) -> String {
    format!("GpuOffer {:?} can't be read: see its conditions", seen.job.spec.offer_ref)
}

/// What is back in a moment can still run the order.
fn may_come(seen: &JobObservation, shortage: &Shortage) -> bool {
    shortage.passing && seen.lasting.node_away < NODE_BACK && !is_late(seen)
}

/// Whether the order's start window is too short for anything that is still to come.
fn is_late(seen: &JobObservation) -> bool {
    match &seen.chain {
        ChainView::Known { job, time, .. } if job.status == JobStatus::Open => {
            let soon = seen.chain_time.unwrap_or(*time) + START_AHEAD;
            job.start_deadline.is_some_and(|deadline| soon >= deadline)
        }
        ChainView::Known { .. } | ChainView::Local | ChainView::Unknown(_) => false,
    }
}

fn unwanted(seen: &JobObservation) -> Option<Outcome> {
    let reason = seen.unwanted()?;
    let message = match reason {
        Reason::Deleted => "the ComputeJob was deleted: what was used is claimed, the rest goes back to the customer",
        _ => "spec.terminate is set: what was used is claimed, the rest goes back to the customer",
    };
    conclude(OutcomeKind::Failed, reason, message)
}

fn pod_refused(seen: &JobObservation) -> Option<Outcome> {
    let refused = seen.pod_refused.as_ref().filter(|refused| refused.for_good && !seen.pods.is_complete())?;
    conclude(
        OutcomeKind::Failed,
        Reason::PodRefused,
        format!("the API server does not take the job's pod: {}", refused.message),
    )
}

/// The program has ended well once it has in every member, and badly once it has in one.
fn program_ended(seen: &JobObservation) -> Option<Outcome> {
    let mut ends: Vec<Option<Outcome>> = seen.pods.iter().map(member::ended).collect();
    if let Some(failed) = ends.iter().position(|end| end.as_ref().is_some_and(|end| end.kind != OutcomeKind::Completed))
    {
        return ends.swap_remove(failed);
    }
    let all = seen.pods.is_complete() && ends.iter().all(Option::is_some);
    ends.into_iter().next().flatten().filter(|_| all)
}

/// How an order ends that comes to nothing: one that was never accepted was turned down.
fn unserved(seen: &JobObservation) -> OutcomeKind {
    if accepted(seen) { OutcomeKind::Failed } else { OutcomeKind::Declined }
}

fn chain_says(seen: &JobObservation) -> Option<Outcome> {
    let (job, time) = match &seen.chain {
        ChainView::Known { job, time, .. } => (job, *time),
        ChainView::Local => return longest_time_up(seen),
        ChainView::Unknown(why) => return known_time_up(seen, why),
    };
    match job.status {
        JobStatus::None => conclude(
            OutcomeKind::Reorged,
            Reason::Reorged,
            "the network no longer holds the order: a reorganisation took it back",
        ),
        JobStatus::Closed => conclude(unserved(seen), Reason::ClosedOnChain, "the market has closed the job already"),
        JobStatus::Open if job.start_deadline.is_some_and(|deadline| time > deadline) => conclude(
            unserved(seen),
            Reason::StartDeadlinePassed,
            "the job could not be started in time; everything goes back",
        ),
        JobStatus::Running | JobStatus::Ended => time_up(seen, job, time),
        JobStatus::Open => None,
    }
}

/// By the chain alone: the operator's own clock may be wrong by days.
fn time_up(seen: &JobObservation, job: &Job, time: Timestamp) -> Option<Outcome> {
    let end = job.end?;
    let quiet = seen.chain_time.is_some_and(|now| now.duration_since(end) >= QUIET_CHAIN);
    if job.status != JobStatus::Ended && time < end && !quiet {
        return None;
    }
    if job.ending {
        return conclude(OutcomeKind::Completed, Reason::EndedByCustomer, "the customer ended the job");
    }
    if seen.container_started().is_none() {
        return never_started(seen, job.duration_seconds.into());
    }
    conclude(
        OutcomeKind::Completed,
        Reason::TimeUp,
        format!("the {} s that were paid for are over", job.duration_seconds),
    )
}

/// Of a local job, which nobody has paid for.
fn longest_time_up(seen: &JobObservation) -> Option<Outcome> {
    let longest = i64::from(seen.offer.as_ref()?.spec.limits.max_seconds);
    let started = seen.container_started()?;
    (seen.now.as_second() - started.as_second() >= longest).then(|| {
        conclude(
            OutcomeKind::Completed,
            Reason::TimeUp,
            format!("the offer's limits.maxSeconds ({longest} s) are over"),
        )
    })?
}

/// Of a job whose chain can't be seen: it may have been prolonged meanwhile, but nobody knows, and nothing runs unpaid.
fn known_time_up(seen: &JobObservation, why: &str) -> Option<Outcome> {
    if seen.lasting.unseen < OUT_OF_SIGHT {
        return None;
    }
    let started = seen.container_started()?;
    let end = seen.paid_until();
    if let (Some(end), Some(now)) = (end, seen.chain_time) {
        let message =
            format!("the time that was paid for until {end} is over, and the network can't be seen since: {why}");
        return (now >= end).then(|| conclude(OutcomeKind::Completed, Reason::TimeUp, message))?;
    }
    // This process has seen no block, so it has no time that it may trust: the program gets all that was bought once more.
    let bought = seen.job.spec.source.as_ref().map_or(0, |source| i64::from(source.seconds));
    let known = end.map_or(bought, |end| end.as_second().saturating_sub(started.as_second()).max(bought));
    let longest = seen.offer.as_ref().map_or(known, |offer| known.min(offer.spec.limits.max_seconds.into()));
    let message = format!("{longest} s were paid for, and the network can't be seen since this operator began: {why}");
    let ran = i64::try_from(seen.lasting.running.as_secs()).unwrap_or(i64::MAX);
    (ran >= longest).then(|| conclude(OutcomeKind::Completed, Reason::TimeUp, message))?
}

fn pod_gone(seen: &JobObservation) -> Option<Outcome> {
    // The status names a pod once all of them were there.
    if let Some(was) = seen.pods.missing().next().filter(|_| seen.stored().pod.is_some()) {
        return conclude(
            OutcomeKind::Failed,
            Reason::PodDeleted,
            format!("pod {was} is gone: what was used is claimed, the rest goes back"),
        );
    }
    seen.pods.iter().find_map(member::leaves)
}

/// Three intervals, or a minute where that is longer.
fn meter_patience(seen: &JobObservation) -> Duration {
    METER_LOST.max(interval(seen) * 3)
}

fn interval(seen: &JobObservation) -> Duration {
    let seconds = seen.offer.as_ref().map_or(0, |offer| offer.spec.attestation.interval_seconds);
    Duration::from_secs(seconds.into())
}

/// The program runs, by what kubelet last said, and nobody has asked for its end.
fn program_runs(seen: &JobObservation) -> bool {
    seen.pods.iter().any(|pod| {
        pod.customer.started.is_some() && pod.customer.ended.is_none() && !pod.is_finished && pod.deleted.is_none()
    })
}

/// Nothing counts while meter does not run, and a tenant can bring that about: no second after it could be paid.
fn meter_lost(seen: &JobObservation) -> Option<Outcome> {
    let down = seen.pods.iter().find_map(|pod| pod.meter_down.as_ref())?;
    let (silent, patience) = (seen.lasting.silent, meter_patience(seen));
    if !program_runs(seen)
        || expectation::started(seen).is_none() && seen.chain_is_seen()
        || silent < patience
        || seen.lasting.meter_down < METER_BACK
    {
        return None;
    }
    let message = format!(
        "the pod's container meter has ended ({down}) and could not be started again, and no report came for {} s: the \
         program's use can't be counted. What was counted before is claimed, the rest goes back",
        patience.as_secs()
    );
    conclude(OutcomeKind::Failed, Reason::MeterLost, message)
}

fn gpu_lost(seen: &JobObservation) -> Option<Outcome> {
    let what = seen.failing.as_ref()?;
    if !program_runs(seen) || seen.lasting.failing < GPU_LOST.max(interval(seen) * 2) {
        return None;
    }
    let message =
        format!("{what}: what was used is claimed, the rest goes back. Look at the node before it is sold again");
    conclude(OutcomeKind::Failed, Reason::GpuLost, message)
}

fn too_slow(seen: &JobObservation) -> Option<Outcome> {
    if !accepted(seen) {
        return None;
    }
    let waits = seen.pods.notable().and_then(|p| p.customer.waiting.clone());
    if let Some((reason @ Reason::InvalidImageName, message)) = &waits {
        return conclude(OutcomeKind::Failed, reason.clone(), message);
    }
    if let Some((reason, message)) = &waits
        && pull::missing(reason, message)
        && seen.lasting.image_missing >= IMAGE_MAY_COME
    {
        return conclude(
            OutcomeKind::Failed,
            Reason::ImageNotFound,
            format!("the registry has no such image: {message}"),
        );
    }
    let ChainView::Known { job, time, .. } = &seen.chain else { return None };
    let now = seen.chain_time.unwrap_or(*time);
    match (job.status, job.started) {
        (JobStatus::Open, _) if job.start_deadline.is_some_and(|deadline| now + DECLINE_AHEAD >= deadline) => conclude(
            OutcomeKind::Failed,
            Reason::NotStartedInTime,
            format!("not ready before the start deadline: {}", not_ready(seen)),
        ),
        (JobStatus::Running, Some(started)) if seen.container_started().is_none() => {
            let timeout = i64::from(seen.offer.as_ref()?.spec.pull.timeout_seconds);
            if now.as_second() - started.as_second() < timeout {
                return None;
            }
            never_started(seen, timeout)
        }
        _ => None,
    }
}

/// What kept the job from being started, in the words of whoever knows.
fn not_ready(seen: &JobObservation) -> String {
    let Some(pod) = seen.pods.notable().filter(|_| seen.pods.is_complete()) else {
        return match &seen.pod_refused {
            Some(refused) => format!("the API server does not take the job's pod: {}", refused.message),
            None => "its pod could not be created: see the operator's log".to_owned(),
        };
    };
    if let Some(why) = &pod.unschedulable {
        return why.clone();
    }
    if seen.leader().is_some() {
        return "the network did not take the start in time: see the conditions of the DepinNetwork".to_owned();
    }
    match seen.heard.as_ref().and_then(|heard| heard.rejection.as_ref()) {
        Some(rejection) => format!("its meter was refused: {}", rejection.refusal),
        None => "its meter has not enrolled: see the log of the pod's container meter, and whether it reaches the \
                 operator and DNS"
            .to_owned(),
    }
}

/// kubelet says `PodInitializing` while it waits for meter and while it pulls: only meter's own state tells which.
fn never_started(seen: &JobObservation, seconds: i64) -> Option<Outcome> {
    let pod = seen.pods.notable();
    let waits = pod.and_then(|p| p.customer.waiting.clone());
    let (reason, message) = waits.unwrap_or((Reason::Waiting, String::new()));
    let initializing = reason == Reason::PodInitializing;
    if initializing && !pod.is_some_and(|p| p.meter_ready) {
        let why = "the meter has not been notified that the job started: see the log of the container meter, and its connection to the operator";
        return conclude(
            OutcomeKind::Failed,
            Reason::MeterNotReady,
            format!("the program did not start within {seconds} s: {why}"),
        );
    }
    // The image is there, and the runtime makes no container of it.
    if matches!(reason, Reason::CreateContainerError | Reason::CreateContainerConfigError | Reason::RunContainerError) {
        return conclude(
            OutcomeKind::Failed,
            reason,
            format!("the program did not start within {seconds} s: {message}"),
        );
    }
    let why = if initializing { "its image is still being pulled".to_owned() } else { format!("{reason} {message}") };
    conclude(
        OutcomeKind::Failed,
        Reason::ImagePullTimeout,
        format!("the program did not start within {seconds} s: {}", why.trim()),
    )
}
