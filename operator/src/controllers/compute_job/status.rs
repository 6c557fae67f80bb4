//! The status of a job, from what was seen and decided.

use hawser_crds::condition::{ACCEPTED, ATTESTED, COMPLETE, FAILED, RUNNING, SCHEDULED, SETTLED, STARTED};
use hawser_crds::{ComputeJobStatus, Outcome as OutcomeKind};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::accounts::{settlement, usage};
use super::decide::{Assessment, phase};
use super::expectation;
use super::observation::{ChainView, JobObservation};
use super::outcome::offer_unreadable;
use super::steady::steady;
use super::voucher::Vouchers;
use crate::controllers::allocation::Allocation;
use crate::controllers::conditions::{ConditionStatus, Conditions};
use crate::network::{ActionKey, JobStatus};
use crate::objects::pod_state::PodState;
use crate::reasons::Reason;

/// Seconds without a report that are no accident any more.
const SILENCE: i64 = 120;
/// Builds the next status.
pub(crate) fn status(seen: &JobObservation, assessment: &Assessment) -> ComputeJobStatus {
    let stored = seen.stored();
    let mut next = stored.clone();
    next.observed_generation = seen.job.metadata.generation;
    next.phase = phase(seen, assessment);
    // It names the first, once each member has its pod.
    if let Some(pod) = seen.pods.first().filter(|_| seen.pods.is_complete()) {
        next.pod = Some(pod.name.clone());
        next.node = pod.node.clone().or(next.node);
    }
    if let Some(leader) = seen.leader() {
        next.attestor = Some(leader.attestor.to_checksum(None));
    }
    if !seen.attested.is_empty() {
        next.gpu_uuids = seen.attested.iter().flat_map(|attested| attested.gpu_uuids.clone()).collect();
    }
    next.container_started_at = seen.container_started().map(Time);
    next.container_finished_at = seen.container_ended().map(Time);
    ends(seen, assessment, &mut next);
    next.conditions = conditions(seen, assessment, &next);
    next.usage = usage(seen, &stored, next.phase);
    next.settlement = settlement(seen, &stored, next.usage.as_ref());
    next.reason = Some(reason(seen, assessment).to_string());
    steady(&stored, next)
}

/// What decides from now on: each is written once, and stays.
fn ends(seen: &JobObservation, assessment: &Assessment, next: &mut ComputeJobStatus) {
    let now = || Time(seen.now);
    if assessment.accepted {
        next.accepted_at.get_or_insert_with(now);
        // A reorganisation can move the start to another block.
        next.started_at = expectation::started(seen).map(|started| Time(started.at)).or(next.started_at.take());
        next.silent_since = silence(seen).map(|(since, _)| Time(since));
    }
    if let Some(outcome) = &assessment.outcome {
        next.outcome = Some(outcome.kind);
        next.message = Some(outcome.message.clone());
        next.decline_reason = Some(outcome.on_chain.clone());
    }
    if assessment.settled && next.settled_at.is_none() {
        next.settled_at = Some(now());
        next.kept_until = seen.now.checked_add(seen.retention).ok().map(Time);
    }
}

fn reason(seen: &JobObservation, assessment: &Assessment) -> Reason {
    if let Some(outcome) = &assessment.outcome {
        return outcome.reason.clone();
    }
    if matches!(seen.chain, ChainView::Unknown(_)) {
        return Reason::NetworkUnavailable;
    }
    if !assessment.accepted {
        return match seen.allocation {
            _ if seen.offer_unreadable => Reason::OfferUnreadable,
            Allocation::Short(_) => Reason::NoCapacity,
            _ => Reason::Waiting,
        };
    }
    let Some(pod) = seen.pods.notable().filter(|_| seen.pods.is_complete()) else {
        return if seen.pod_refused.is_some() { Reason::PodRefused } else { Reason::CreatingPod };
    };
    if pod.customer.started.is_some() {
        return Reason::Running;
    }
    if pod.unschedulable.is_some() {
        return Reason::Unschedulable;
    }
    if seen.leader().is_none() {
        return Reason::WaitingForAttestor;
    }
    if expectation::started(seen).is_none() {
        return Reason::WaitingForStart;
    }
    let waits = pod.customer.waiting.as_ref().map(|(reason, _)| reason);
    waits.filter(|reason| **reason != Reason::Waiting).cloned().unwrap_or(Reason::Starting)
}

fn conditions(seen: &JobObservation, assessment: &Assessment, next: &ComputeJobStatus) -> Vec<Condition> {
    let stored = seen.stored();
    let mut list = Conditions::from_stored(&stored.conditions, seen.job.metadata.generation, seen.now);
    accepted(seen, assessment, &mut list);
    if assessment.accepted {
        scheduled(seen, assessment, &mut list);
        started(seen, assessment, next, &mut list);
        running(seen, &mut list);
        attested(seen, &mut list);
    }
    if let Some(outcome) = &assessment.outcome {
        let kind = if outcome.kind == OutcomeKind::Completed { COMPLETE } else { FAILED };
        list.set(kind, ConditionStatus::True, &outcome.reason, outcome.message.clone());
        settled(seen, assessment, &mut list);
    }
    list.into_list()
}

fn accepted(seen: &JobObservation, assessment: &Assessment, list: &mut Conditions) {
    if assessment.accepted {
        let message = "the order is within the offer's policy and its GPUs are free";
        return list.set(ACCEPTED, ConditionStatus::True, &Reason::WithinPolicy, message);
    }
    match (&assessment.outcome, &seen.chain, &seen.allocation) {
        (Some(outcome), _, _) => list.set(ACCEPTED, ConditionStatus::False, &outcome.reason, outcome.message.clone()),
        (None, ChainView::Unknown(why), _) => {
            list.set(ACCEPTED, ConditionStatus::Unknown, &Reason::NetworkUnavailable, why.clone());
        }
        (None, _, Allocation::Short(short)) => {
            list.set(ACCEPTED, ConditionStatus::Unknown, &Reason::NoCapacity, short.why.clone());
        }
        (None, _, _) if seen.offer_unreadable => {
            list.set(ACCEPTED, ConditionStatus::Unknown, &Reason::OfferUnreadable, offer_unreadable(seen));
        }
        (None, _, _) if seen.offer.is_none() => {
            let message = format!("there is no GpuOffer {:?} in this namespace: create it", seen.job.spec.offer_ref);
            list.set(ACCEPTED, ConditionStatus::Unknown, &Reason::NoOffer, message);
        }
        (None, _, _) => {
            list.set(
                ACCEPTED,
                ConditionStatus::Unknown,
                &Reason::Waiting,
                "the market does not show the order as open yet",
            );
        }
    }
}

fn scheduled(seen: &JobObservation, assessment: &Assessment, list: &mut Conditions) {
    let unbound = seen.pods.iter().find(|pod| pod.node.is_none());
    let Some(pod) = unbound.or(seen.pods.first()).filter(|_| seen.pods.is_complete()) else {
        match &seen.pod_refused {
            Some(refused) => list.set(SCHEDULED, ConditionStatus::False, &Reason::PodRefused, refused.message.clone()),
            None if assessment.outcome.is_none() => {
                list.set(SCHEDULED, ConditionStatus::False, &Reason::CreatingPod, "the pod is being created");
            }
            None => {}
        }
        return;
    };
    match (&pod.node, &pod.unschedulable) {
        (Some(node), _) => {
            list.set(SCHEDULED, ConditionStatus::True, &Reason::Bound, format!("pod {} runs on {node}", pod.name));
        }
        (None, Some(why)) => list.set(SCHEDULED, ConditionStatus::False, &Reason::Unschedulable, why.clone()),
        (None, None) => {
            list.set(SCHEDULED, ConditionStatus::False, &Reason::Scheduling, "the scheduler looks for a node");
        }
    }
}

fn started(seen: &JobObservation, assessment: &Assessment, next: &ComputeJobStatus, list: &mut Conditions) {
    if seen.unstarted {
        let message = "the market shows the job as open again, because of a lagging node or a reorganisation: it is started again \
                       there, and the program keeps running";
        return list.set(STARTED, ConditionStatus::True, &Reason::StartUndone, message);
    }
    if let Some(started) = expectation::started(seen) {
        let message = if seen.is_local() { "the attestor is enrolled" } else { "the network has the start" };
        let known = seen.attestor().filter(|known| started.attestor.is(*known));
        let attestor = known.map_or_else(|| started.attestor.to_string(), |known| known.to_string());
        return list.set(STARTED, ConditionStatus::True, &Reason::Started, format!("{message}: {attestor} attests"));
    }
    if next.started_at.is_some() || assessment.outcome.is_some() {
        return;
    }
    match &seen.obstacle {
        Some((ActionKey::Start(_), why)) => list.set(STARTED, ConditionStatus::False, &Reason::Refused, why.clone()),
        _ if seen.leader().is_some() => {
            list.set(
                STARTED,
                ConditionStatus::False,
                &Reason::WaitingForChain,
                "the attestor is enrolled, and the network does not have the start yet",
            );
        }
        _ => match seen.heard.as_ref().and_then(|heard| heard.rejection.as_ref()) {
            Some(rejection) => {
                list.set(STARTED, ConditionStatus::False, &Reason::EnrolmentRefused, rejection.refusal.to_string());
            }
            None => {
                list.set(
                    STARTED,
                    ConditionStatus::False,
                    &Reason::WaitingForAttestor,
                    "the pod's meter has not enrolled its attestor yet",
                );
            }
        },
    }
}

fn running(seen: &JobObservation, list: &mut Conditions) {
    let Some(pod) = seen.pods.notable() else { return };
    let customer = &pod.customer;
    match (&customer.ended, customer.started, &customer.waiting) {
        (Some(ended), _, _) => {
            list.set(
                RUNNING,
                ConditionStatus::False,
                &ended.reason,
                format!("the program ended with exit code {}", ended.code),
            );
        }
        (None, Some(_), _) if pod.deleted.is_some() => {
            list.set(RUNNING, ConditionStatus::False, &Reason::Stopping, "the pod is being stopped");
        }
        (None, Some(_), _) => list.set(RUNNING, ConditionStatus::True, &Reason::ContainerRunning, "the program runs"),
        (None, None, _) if customer.never_ran.is_some() => {
            let (reason, message) = customer.never_ran.as_ref().map(|n| (&n.reason, &n.message)).unzip();
            let message =
                message.map_or_else(String::new, |words| format!("the program could not be started: {words}"));
            list.set(RUNNING, ConditionStatus::False, reason.unwrap_or(&Reason::StartError), message);
        }
        (None, None, Some((reason, message))) => {
            let message = if message.is_empty() { "the program has not started" } else { message };
            list.set(RUNNING, ConditionStatus::False, reason, message);
        }
        (None, None, _) => list.set(RUNNING, ConditionStatus::False, &Reason::Waiting, "the program has not started"),
    }
}

/// Since when nothing was reported of a program that runs, where a report should have come, and what is known of why. What
/// was reported before this operator listened, or before the program ran, is not missed; but a silence that the operator
/// before it told goes on until a report is heard.
fn silence(seen: &JobObservation) -> Option<(Timestamp, String)> {
    let runs = |pod: &PodState| pod.customer.started.filter(|_| pod.customer.ended.is_none());
    let runs_since = seen.pods.iter().filter_map(runs).min()?;
    let heard = seen.heard.as_ref();
    let last_report = heard.and_then(|heard| heard.last_report);
    let told = seen.job.status.as_ref().and_then(|status| status.silent_since.as_ref());
    let told = told.map(|since| since.0).filter(|_| last_report.is_none());
    let since = told.or(last_report).or_else(|| Some(heard?.since.max(runs_since)))?;
    let interval = seen.offer.as_ref().map_or(0, |offer| offer.spec.attestation.interval_seconds);
    let patience = i64::from(interval.saturating_mul(3)).max(SILENCE);
    let since = Timestamp::from_second(since.as_second()).unwrap_or(since);
    if told.is_none() && seen.now.as_second() - since.as_second() <= patience {
        return None;
    }
    let why = match seen.pods.iter().find_map(|pod| pod.meter_down.as_ref()) {
        Some(down) => format!(
            "the pod's container meter has ended ({down}) and nothing counts meanwhile: it is started again, or the job ends"
        ),
        None if heard.is_some_and(|heard| heard.connected) => {
            "meter is connected but silent: see the log of the pod's container meter. Use is still being counted".to_owned()
        }
        None => {
            "meter is not connected: see the log of the pod's container meter, and whether it reaches the operator. Use is \
             still being counted"
                .to_owned()
        }
    };
    Some((since, format!("no report since {since}, {why}")))
}

fn attested(seen: &JobObservation, list: &mut Conditions) {
    let vouchers = Vouchers::of(seen);
    let vouched = !vouchers.is_empty();
    if let Some(shared) = seen.heard.as_ref().and_then(|heard| heard.card_shared.as_ref()) {
        list.set(ATTESTED, ConditionStatus::False, &Reason::CardShared, shared.clone());
        return;
    }
    match seen.rejection() {
        Some(rejection) if !vouched => {
            list.set(ATTESTED, ConditionStatus::False, &Reason::Refused, rejection.refusal.to_string());
        }
        _ if vouched && let Some((_, silence)) = silence(seen) => {
            list.set(ATTESTED, ConditionStatus::False, &Reason::ReportsStopped, silence);
        }
        _ if vouched => {
            list.set(
                ATTESTED,
                ConditionStatus::True,
                &Reason::VoucherAccepted,
                format!("vouchers of the job's attestor are accepted{}", vouchers.claimable().caveat()),
            );
        }
        _ => {
            let silence = silence(seen).map_or_else(String::new, |(_, silence)| format!(": {silence}"));
            list.set(
                ATTESTED,
                ConditionStatus::False,
                &Reason::NoVoucher,
                format!("no voucher has been received yet{silence}"),
            );
        }
    }
}

fn settled(seen: &JobObservation, assessment: &Assessment, list: &mut Conditions) {
    if assessment.settled {
        if seen.stored().settled_at.is_none() {
            let (reason, message) = match &seen.chain {
                ChainView::Local => (&Reason::Local, "a local job: nothing is owed on a market".to_owned()),
                ChainView::Known { job, .. } if job.status == JobStatus::None => {
                    (&Reason::NotOnChain, "the market holds nothing of this job".to_owned())
                }
                ChainView::Known { job, .. } => (
                    &Reason::Closed,
                    format!("closed on the market: {} GPU-seconds paid with {} token units", job.used.0, job.paid),
                ),
                ChainView::Unknown(why) => (&Reason::Closed, why.clone()),
            };
            list.set(SETTLED, ConditionStatus::True, reason, message);
        }
        return;
    }
    match (&seen.chain, &seen.obstacle) {
        (ChainView::Unknown(why), _) => {
            list.set(SETTLED, ConditionStatus::Unknown, &Reason::NetworkUnavailable, why.clone());
        }
        (_, Some((key, why))) => {
            list.set(SETTLED, ConditionStatus::False, &Reason::Obstructed, format!("{key}: {why}"));
        }
        _ if !seen.reports_are_over() => {
            let why = seen.unheard.clone().unwrap_or_else(|| "the pod is stopping".to_owned());
            list.set(SETTLED, ConditionStatus::False, &Reason::WaitingForLastVoucher, why);
        }
        _ => list.set(
            SETTLED,
            ConditionStatus::False,
            &Reason::Settling,
            format!("what is owed is being claimed and the job closed{}", Vouchers::of(seen).claimable().caveat()),
        ),
    }
}
