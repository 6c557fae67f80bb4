//! When a canary is sent, what is made of what it found, and what follows for the offer.

use hawser_attestation::Reach;
use hawser_crds::{Egress, NetworkCheck, Reachable};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::controllers::conditions::ConditionStatus;
use crate::controllers::gpu_offer::serves::Obstacle;
use crate::reasons::Reason;

/// A result is tried again after so long: somebody may have added a policy that allows more.
const FRESH: SignedDuration = SignedDuration::from_hours(1);
/// What was reached is tried again so soon, and so is a try without a result: somebody is at work on it.
const SOON: SignedDuration = SignedDuration::from_mins(5);
/// As long as nodes mount volumes of images: one of them is looked at each time.
const TURN: SignedDuration = SignedDuration::from_mins(15);
/// A good result counts for so long without a newer one.
const COUNTS: SignedDuration = SignedDuration::from_hours(24);
/// A canary that has not ended after so long never will: its node is full, its image does not come.
const LIMIT: SignedDuration = SignedDuration::from_mins(5);

/// What a canary runs under: what was found under one shows nothing of another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Under {
    pub egress: Egress,
    pub runtime_class: Option<String>,
}

impl Under {
    /// As it stands at the canary's pod.
    pub(crate) fn words(&self) -> String {
        let egress = match self.egress {
            Egress::None => "None",
            Egress::Internet => "Internet",
        };
        format!("{egress} {}", self.runtime_class.as_deref().unwrap_or_default())
    }
}

/// A canary's pod, as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Canary {
    pub made: Timestamp,
    /// Its node, once it has one.
    pub node: Option<String>,
    /// What it runs under, in [`Under::words`]; none where that can't be told.
    pub under: Option<String>,
    pub leaving: bool,
    /// What it left, or how else it ended; none while it runs.
    pub end: Option<Result<Reach, String>>,
    /// What it waits for, where that is known.
    pub waits: Option<String>,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CanaryStep {
    /// Nothing is due, or nothing can be done.
    Rest,
    /// Send one.
    Send,
    /// One is under way.
    Wait,
    /// It runs under what counts no more: remove the pod, and send another one.
    Replace,
    /// It found something: write it down, remove the pod.
    Found(Reach),
    /// It found nothing out: write down why, remove the pod.
    Failed(String),
}

/// Whether it is time for a canary.
pub(crate) fn is_due(check: Option<&NetworkCheck>, under: &Under, now: Timestamp) -> bool {
    let Some(check) = check else { return true };
    if check.egress != under.egress || check.runtime_class != under.runtime_class {
        return true;
    }
    let age = |time: &Option<Time>| time.as_ref().map(|time| now.duration_since(time.0));
    match (age(&check.failed_at), age(&check.time)) {
        (Some(failed), Some(found)) if found <= failed => found >= pause(check),
        (Some(failed), _) => failed >= SOON,
        (None, Some(found)) => found >= pause(check),
        (None, None) => true,
    }
}

fn pause(check: &NetworkCheck) -> SignedDuration {
    if !check.cluster.is_empty() || !check.node.is_empty() {
        SOON
    } else if check.volumes_mounted_on.is_empty() {
        FRESH
    } else {
        TURN
    }
}

/// The next step, where `pod` is the offer's canary.
pub(crate) fn step(pod: Option<Canary>, under: &Under, due: bool, now: Timestamp) -> CanaryStep {
    let Some(pod) = pod else { return if due { CanaryStep::Send } else { CanaryStep::Rest } };
    if pod.leaving {
        // It may never go, where its node is lost.
        return CanaryStep::Rest;
    }
    if pod.under.is_some_and(|ran| ran != under.words()) {
        return CanaryStep::Replace;
    }
    match pod.end {
        Some(Ok(reach)) if reach.attestation => CanaryStep::Found(reach),
        Some(Ok(_)) => CanaryStep::Failed(
            "it could not reach the attestation service, as every job's meter must: is there a NetworkPolicy in this \
             namespace, or in the operator's, that forbids it?"
                .to_owned(),
        ),
        Some(Err(why)) => CanaryStep::Failed(why),
        None if now.duration_since(pod.made) < LIMIT => CanaryStep::Wait,
        None => {
            let waits = pod.waits.unwrap_or_else(|| "its node does not say why".to_owned());
            CanaryStep::Failed(format!("it had not ended after {} s: {waits}", LIMIT.as_secs()))
        }
    }
}

/// The check with what a canary made at `made` found.
pub(crate) fn found(under: &Under, reach: &Reach, made: Timestamp) -> NetworkCheck {
    let texts = |list: &[std::net::SocketAddr]| list.iter().map(ToString::to_string).collect();
    NetworkCheck {
        egress: under.egress,
        runtime_class: under.runtime_class.clone(),
        time: Some(Time(made)),
        held: texts(&reach.held),
        cluster: texts(&reach.cluster),
        node: texts(&reach.node),
        failure: None,
        failed_at: None,
        ..NetworkCheck::default()
    }
}

/// The check with a try that found nothing out. What was found before still counts.
pub(crate) fn failed(stored: Option<NetworkCheck>, under: &Under, why: String, now: Timestamp) -> NetworkCheck {
    NetworkCheck {
        egress: under.egress,
        runtime_class: under.runtime_class.clone(),
        failure: Some(why),
        failed_at: Some(Time(now)),
        ..stored.unwrap_or_default()
    }
}

/// `NetworkIsolated`: its word, its reason, its message.
pub(crate) fn verdict(check: Option<&NetworkCheck>, now: Timestamp) -> (ConditionStatus, Reason, String) {
    let Some(check) = check else {
        let message = "no pod of this offer has tried yet what its NetworkPolicy forbids".to_owned();
        return (ConditionStatus::Unknown, Reason::NotTried, message);
    };
    let failure = check.failure.as_ref().map(|why| format!("the newest canary found nothing out: {why}"));
    let Some(time) = &check.time else {
        return (ConditionStatus::Unknown, Reason::NoResult, failure.unwrap_or_default());
    };
    let later = failure.map_or_else(String::new, |failure| format!(". Since then {failure}"));
    if !check.cluster.is_empty() {
        let message = format!(
            "at {} a pod of this offer reached {} for half a minute, though its NetworkPolicy forbids that: the cluster's \
             network enforces no NetworkPolicies, another policy in this namespace allows more, or the address is in none \
             of the ranges of the chart's clusterCidrs{later}",
            time.0,
            check.cluster.join(", ")
        );
        return (ConditionStatus::False, Reason::NotEnforced, message);
    }
    if !check.node.is_empty() {
        let message = format!(
            "at {} a pod of this offer reached its own node ({}) for half a minute, though its NetworkPolicy forbids that: \
             the cluster's network leaves nodes open to their pods, or another policy in this namespace does{later}",
            time.0,
            check.node.join(", ")
        );
        return (ConditionStatus::False, Reason::NodeReachable, message);
    }
    let held = check.held.join(", ");
    if now.duration_since(time.0) > COUNTS {
        return (
            ConditionStatus::Unknown,
            Reason::NoResult,
            format!("{held} could not be reached at {}{later}", time.0),
        );
    }
    let message = format!("at {} a pod of this offer tried {held} and reached none of them{later}", time.0);
    (ConditionStatus::True, Reason::Enforced, message)
}

/// What was reached and is not accepted is in the way of all orders.
pub(crate) fn obstacle(check: Option<&NetworkCheck>, accepted: &[Reachable]) -> Option<Obstacle> {
    let check = check?;
    let is_open = |reached: &[String], kind| !reached.is_empty() && !accepted.contains(&kind);
    let cluster = is_open(&check.cluster, Reachable::Cluster);
    if !cluster && !is_open(&check.node, Reachable::Node) {
        return None;
    }
    let (reason, what, kind) = if cluster {
        (Reason::NotEnforced, &check.cluster, "Cluster")
    } else {
        (Reason::NodeReachable, &check.node, "Node")
    };
    let message = format!(
        "jobs of this offer can reach {}: see the condition NetworkIsolated. Mend the cluster's network, or accept it with \
         spec.isolation.acceptReachable: [{kind}]",
        what.join(", ")
    );
    Some(Obstacle::new(reason, message))
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
