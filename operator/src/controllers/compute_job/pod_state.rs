//! What a pod's status says about a job.

use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod};

use super::build::{CUSTOMER, METER, POD_FINALIZER, PROBE};
use super::voucher;

/// A job's pod as it stands.
#[expect(clippy::struct_excessive_bools, reason = "five facts that are independent of each other")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PodState {
    pub name: String,
    pub uid: String,
    pub node: Option<String>,
    /// Its addresses, once it has some.
    pub addresses: Vec<IpAddr>,
    /// Why it has no node, in the scheduler's words.
    pub unschedulable: Option<String>,
    /// When it must be gone, if it is being deleted.
    pub deleted: Option<Timestamp>,
    /// Who wants it gone, where Kubernetes says it (eviction, preemption, drain).
    pub disruption: Option<(String, String)>,
    /// It holds its last voucher still.
    pub held: bool,
    /// Kubernetes calls it Succeeded or Failed: no container runs any more.
    pub over: bool,
    /// A container runs at this moment, by what kubelet last said.
    pub running: bool,
    pub customer: Container,
    /// What meter left at its newest end, or at the one before where that holds the newer voucher.
    pub last_words: Option<String>,
    /// meter's startupProbe has passed: from then on kubelet pulls the customer's image.
    pub meter_ready: bool,
    /// meter has ended for good.
    pub meter_over: bool,
    /// Why the pod failed without the customer's container having ended.
    pub failure: Option<(String, String)>,
}

/// The customer's container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Container {
    /// Why it waits: reason and message of kubelet.
    pub waiting: Option<(String, String)>,
    pub started: Option<Timestamp>,
    pub ended: Option<Ended>,
}

/// How the customer's container ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub at: Timestamp,
    pub code: i32,
    pub reason: String,
}

/// Reads a pod.
pub(crate) fn read(pod: &Pod) -> PodState {
    let meta = &pod.metadata;
    let status = pod.status.clone().unwrap_or_default();
    let init = status.init_container_statuses.unwrap_or_default();
    let main = status.container_statuses.unwrap_or_default();
    let conditions = status.conditions.unwrap_or_default();
    let over = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
    let condition = |kind: &str| conditions.iter().find(|c| c.type_ == kind);
    let meter = state(&init, METER).and_then(|s| s.terminated.as_ref());
    let customer = container(state(&main, CUSTOMER));
    let failure = (status.phase.as_deref() == Some("Failed") && customer.ended.is_none()).then(|| {
        let probe = state(&init, PROBE).and_then(|s| s.terminated.as_ref()).filter(|t| t.exit_code != 0);
        match probe {
            Some(t) => ("ProbeFailed".to_owned(), t.message.clone().or_else(|| t.reason.clone()).unwrap_or_default()),
            None => (
                status.reason.clone().unwrap_or_else(|| "PodFailed".to_owned()),
                status.message.clone().unwrap_or_else(|| "the pod failed before the program ended".to_owned()),
            ),
        }
    });
    PodState {
        name: meta.name.clone().unwrap_or_default(),
        uid: meta.uid.clone().unwrap_or_default(),
        addresses: status.pod_ips.iter().flatten().filter_map(|ip| ip.ip.parse().ok()).collect(),
        node: pod.spec.as_ref().and_then(|s| s.node_name.clone()).filter(|n| !n.is_empty()),
        unschedulable: condition("PodScheduled")
            .filter(|c| c.status == "False")
            .map(|c| c.message.clone().or_else(|| c.reason.clone()).unwrap_or_default()),
        deleted: meta.deletion_timestamp.as_ref().map(|t| t.0),
        disruption: condition("DisruptionTarget").filter(|c| c.status == "True").map(|c| {
            (c.reason.clone().unwrap_or_else(|| "Disrupted".to_owned()), c.message.clone().unwrap_or_default())
        }),
        held: meta.finalizers.iter().flatten().any(|f| f == POD_FINALIZER),
        over,
        running: !over && init.iter().chain(&main).any(|c| c.state.as_ref().is_some_and(|s| s.running.is_some())),
        meter_ready: init.iter().any(|c| c.name == METER && c.started == Some(true)),
        // A sidecar is restarted while the pod lives; its end counts once the pod or the customer's container is over.
        meter_over: meter.is_some() && (over || customer.ended.is_some() || meta.deletion_timestamp.is_some()),
        last_words: init.iter().find(|c| c.name == METER).and_then(voucher::left),
        customer,
        failure,
    }
}

fn state<'a>(statuses: &'a [ContainerStatus], name: &str) -> Option<&'a ContainerState> {
    statuses.iter().find(|c| c.name == name)?.state.as_ref()
}

fn container(state: Option<&ContainerState>) -> Container {
    let Some(state) = state else { return Container::default() };
    let terminated = state.terminated.as_ref();
    let running = state.running.as_ref().and_then(|r| r.started_at.as_ref());
    // A container that never ran is called terminated too when its pod goes: then it has no start.
    let started = terminated.and_then(|t| t.started_at.as_ref()).or(running).map(|t| t.0);
    Container {
        waiting: state
            .waiting
            .as_ref()
            .map(|w| (w.reason.clone().unwrap_or_default(), w.message.clone().unwrap_or_default())),
        started,
        ended: terminated.filter(|_| started.is_some()).and_then(|t| {
            let at = t.finished_at.as_ref()?.0;
            Some(Ended { at, code: t.exit_code, reason: t.reason.clone().unwrap_or_else(|| "Error".to_owned()) })
        }),
    }
}

impl PodState {
    /// No container runs or will run any more, so the last voucher stands in the pod's status or was never written.
    pub(crate) fn quiet(&self, now: Timestamp) -> bool {
        self.over || self.lost(now) || (self.deleted.is_some() && !self.running)
    }

    /// It should be gone for more than a minute and is not: its node does not answer.
    pub(crate) fn lost(&self, now: Timestamp) -> bool {
        self.deleted.is_some_and(|at| now.as_second() - at.as_second() > 60)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "json! at the call reads best")]
    fn pod(meta: Value, status: Value) -> PodState {
        let mut metadata = json!({"name": "job-1", "uid": "u", "finalizers": [POD_FINALIZER]});
        for (key, value) in meta.as_object().unwrap() {
            metadata[key] = value.clone();
        }
        read(
            &serde_json::from_value(json!({"metadata": metadata, "spec": {"containers": []}, "status": status}))
                .unwrap(),
        )
    }

    fn status(name: &str, state: &Value) -> Value {
        json!({"name": name, "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state})
    }

    const T: &str = "2026-01-01T00:00:00Z";

    #[test]
    fn a_running_container_has_a_start_and_an_ended_one_an_exit_code() {
        let running =
            pod(json!({}), json!({"containerStatuses": [status("job", &json!({"running": {"startedAt": T}}))]}));
        assert_eq!(running.customer.started, Some(T.parse().unwrap()));
        assert!(running.running && running.customer.ended.is_none());
        let ended = json!({"terminated": {"startedAt": T, "finishedAt": T, "exitCode": 3, "reason": "Error"}});
        let ended = pod(json!({}), json!({"phase": "Failed", "containerStatuses": [status("job", &ended)]}));
        assert_eq!(ended.customer.ended.unwrap().code, 3);
        assert_eq!(ended.failure, None, "the program's own end is no failure of the pod");
        assert!(ended.over && !ended.running);
    }

    #[test]
    fn a_container_that_never_ran_has_not_ended() {
        let state = json!({"terminated": {"exitCode": 137, "reason": "ContainerStatusUnknown"}});
        let never = pod(
            json!({}),
            json!({"phase": "Failed", "reason": "Evicted", "message": "disk",
            "containerStatuses": [status("job", &state)]}),
        );
        assert_eq!(never.customer.ended, None);
        assert_eq!(never.failure, Some(("Evicted".to_owned(), "disk".to_owned())));
    }

    #[test]
    fn a_failed_probe_names_what_it_wrote() {
        let state = json!({"terminated": {"exitCode": 1, "message": "no NVML"}});
        let failed = pod(json!({}), json!({"phase": "Failed", "initContainerStatuses": [status("probe", &state)]}));
        assert_eq!(failed.failure, Some(("ProbeFailed".to_owned(), "no NVML".to_owned())));
    }

    #[test]
    fn meters_last_words_count_when_the_job_is_over_and_not_at_a_restart() {
        let state = json!({"terminated": {"exitCode": 0, "message": "v"}});
        let meter = json!([status("meter", &state)]);
        assert!(!pod(json!({}), json!({"phase": "Running", "initContainerStatuses": meter})).meter_over);
        let over = pod(json!({}), json!({"phase": "Succeeded", "initContainerStatuses": meter}));
        assert!(over.meter_over);
        assert_eq!(over.last_words.as_deref(), Some("v"));
    }

    #[test]
    fn a_pods_addresses_of_both_families_are_read() {
        let both = pod(json!({}), json!({"podIPs": [{"ip": "10.0.0.7"}, {"ip": "fd00::7"}]}));
        assert_eq!(both.addresses, ["10.0.0.7".parse::<IpAddr>().unwrap(), "fd00::7".parse().unwrap()]);
        assert_eq!(pod(json!({}), json!({"phase": "Pending"})).addresses, Vec::<IpAddr>::new());
    }

    #[test]
    fn a_pod_is_quiet_when_nothing_runs_and_nothing_will() {
        let at = |s: &str| s.parse::<Timestamp>().unwrap();
        let running = json!({"containerStatuses": [status("job", &json!({"running": {"startedAt": T}}))]});
        let deleted = json!({"deletionTimestamp": T});
        assert!(!pod(json!({}), json!({"phase": "Pending"})).quiet(at(T)));
        assert!(!pod(deleted.clone(), running.clone()).quiet(at("2026-01-01T00:00:30Z")));
        assert!(pod(deleted.clone(), running).quiet(at("2026-01-01T00:01:01Z")), "its node does not answer");
        assert!(pod(deleted, json!({"phase": "Pending"})).quiet(at(T)));
        assert!(pod(json!({}), json!({"phase": "Failed"})).quiet(at(T)));
    }
}
