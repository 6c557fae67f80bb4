//! What a canary's pod says of itself.

use hawser_attestation::{MAX_TERMINATION_BYTES, Reach};
use hawser_proto::pod::CANARY_CONTAINER;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, Pod, PodStatus};
use kube::ResourceExt;

use super::decide::Canary;
use crate::controllers::compute_job::UNDER_ANNOTATION;

pub(super) fn read(pod: &Pod, now: Timestamp) -> Canary {
    let none = PodStatus::default();
    let status = pod.status.as_ref().unwrap_or(&none);
    let mut containers = status.container_statuses.iter().flatten();
    let canary = containers.find(|container| container.name == CANARY_CONTAINER);
    let ended = canary.and_then(|canary| canary.state.as_ref()?.terminated.as_ref());
    let is_over = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
    Canary {
        under: pod.annotations().get(UNDER_ANNOTATION).cloned(),
        node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
        made: pod.metadata.creation_timestamp.as_ref().map_or(now, |time| time.0),
        leaving: pod.metadata.deletion_timestamp.is_some(),
        end: match ended {
            Some(ended) => Some(said(ended)),
            None => is_over.then(|| Err(refused(status))),
        },
        waits: waits(status),
    }
}

/// What it left as its termination message.
fn said(ended: &ContainerStateTerminated) -> Result<Reach, String> {
    let text = ended.message.as_deref().filter(|text| text.len() <= MAX_TERMINATION_BYTES).unwrap_or_default();
    let reason = ended.reason.as_deref().unwrap_or("no reason");
    if ended.exit_code != 0 {
        return Err(format!("it ended with exit code {} ({reason}): {}", ended.exit_code, text.trim()));
    }
    serde_json::from_str(text).map_err(|error| format!("what it left can't be read: {error}"))
}

/// Why it never ran: evicted, preempted, not admitted.
fn refused(status: &PodStatus) -> String {
    let word = |text: &Option<String>| text.clone().unwrap_or_default();
    format!("its pod ended as {}: {}", word(&status.reason), word(&status.message))
}

fn waits(status: &PodStatus) -> Option<String> {
    let waiting = status
        .container_statuses
        .iter()
        .flatten()
        .find_map(|container| container.state.as_ref()?.waiting.as_ref())
        .and_then(|waiting| Some((waiting.reason.clone()?, waiting.message.clone().unwrap_or_default())));
    let unscheduled = || {
        let mut conditions = status.conditions.iter().flatten();
        let scheduled = conditions.find(|c| c.type_ == "PodScheduled" && c.status == "False")?;
        Some((scheduled.reason.clone()?, scheduled.message.clone().unwrap_or_default()))
    };
    let (reason, message) = waiting.or_else(unscheduled)?;
    Some(if message.is_empty() { reason } else { format!("{reason}: {message}") })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "json! at the call reads best")]
    fn canary(status: Value) -> Canary {
        let pod = json!({
            "metadata": {"name": "c", "creationTimestamp": "1970-01-01T00:00:05Z"}, "status": status
        });
        read(&serde_json::from_value(pod).unwrap(), Timestamp::UNIX_EPOCH)
    }

    fn ended(code: i32, message: &str) -> Canary {
        canary(json!({"phase": "Succeeded", "containerStatuses": [{
            "name": "canary", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"terminated": {"exitCode": code, "reason": "Completed", "message": message}}
        }]}))
    }

    #[test]
    fn what_a_canary_left_is_read() {
        let reach = Reach { attestation: true, cluster: vec!["10.0.0.1:443".parse().unwrap()], ..Reach::default() };
        let canary = ended(0, &serde_json::to_string(&reach).unwrap());
        assert_eq!((canary.end, canary.made.as_second(), canary.leaving), (Some(Ok(reach)), 5, false));
    }

    #[test]
    fn a_canary_that_says_nothing_of_use_is_no_proof_of_anything() {
        let long = "x".repeat(MAX_TERMINATION_BYTES + 1);
        for (canary, says) in [
            (ended(1, "can't write"), "exit code 1 (Completed): can't write"),
            (ended(0, "{}"), "can't be read"),
            (ended(0, &long), "can't be read"),
            (ended(0, ""), "can't be read"),
            (
                canary(json!({"phase": "Failed", "reason": "Evicted", "message": "low on memory"})),
                "Evicted: low on memory",
            ),
        ] {
            let why = canary.end.unwrap().unwrap_err();
            assert!(why.contains(says), "{why}");
        }
    }

    #[test]
    fn a_canary_has_ended_though_a_container_that_the_cluster_added_runs_on() {
        let container = |name: &str, state: Value| {
            json!({
                "name": name, "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state
            })
        };
        let message = serde_json::to_string(&Reach::default()).unwrap();
        let ended = json!({"terminated": {"exitCode": 0, "message": message}});
        let canary = canary(json!({"phase": "Running", "containerStatuses": [
            container("a-proxy", json!({"running": {}})), container("canary", ended)
        ]}));
        assert_eq!(canary.end, Some(Ok(Reach::default())));
    }

    #[test]
    fn a_canary_under_way_says_what_it_waits_for() {
        let pulling = json!({"phase": "Pending", "containerStatuses": [{
            "name": "canary", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": "ErrImagePull", "message": "no such host"}}
        }]});
        let nowhere = json!({"phase": "Pending", "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
        ]});
        for (status, waits) in [
            (pulling, Some("ErrImagePull: no such host")),
            (nowhere, Some("Unschedulable: 0/3 nodes")),
            (json!({"phase": "Running"}), None),
        ] {
            let canary = canary(status);
            assert_eq!((canary.end, canary.waits.as_deref()), (None, waits));
        }
    }
}
