//! What a pod's status says about a job: one flat answer, read in one place. Pure.

use std::net::IpAddr;
use std::time::Duration;

use hawser_proto::pod::{JOB_CONTAINER, METER_CONTAINER, PROBE_CONTAINER};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod, PodStatus};

use super::{POD_FINALIZER, termination};
use crate::reasons::Reason;

/// So long after its grace a pod's end is told by a node that answers.
const NODE_ANSWERS: Duration = Duration::from_mins(1);

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
    /// For how long it may stop by itself, once it is being deleted.
    pub grace: Duration,
    /// Who wants it gone, where Kubernetes says it (eviction, preemption, drain).
    pub disruption: Option<(Reason, String)>,
    /// It holds its last voucher still.
    pub has_finalizer: bool,
    /// Kubernetes calls it Succeeded or Failed: no container runs any more.
    pub is_finished: bool,
    /// A container runs at this moment, by what kubelet last said.
    pub running: bool,
    pub customer: Container,
    /// What meter left at its newest end, or at the one before where that holds the newer voucher.
    pub termination_message: Option<String>,
    /// Why meter does not run, by what kubelet last said; none while it does, and before it ever did.
    pub meter_down: Option<String>,
    /// meter's startupProbe has passed: from then on kubelet pulls the customer's image.
    pub meter_ready: bool,
    /// meter has ended for good.
    pub meter_over: bool,
    /// Why the pod failed without the customer's container having ended.
    pub failure: Option<(Reason, String)>,
    /// Why kubelet gave up the whole pod (evicted, not admitted again, node shut down), whatever its containers did.
    pub given_up: Option<(Reason, String)>,
    /// Devices of the customer's container that the device plugin calls unhealthy.
    pub unhealthy: Vec<String>,
}

/// The customer's container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Container {
    /// Why it waits: reason and message of kubelet.
    pub waiting: Option<(Reason, String)>,
    pub started: Option<Timestamp>,
    pub ended: Option<Ended>,
    pub never_ran: Option<NeverRan>,
}

/// Why the customer's container could not be started at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NeverRan {
    /// When that was found, if kubelet says it.
    pub at: Option<Timestamp>,
    pub reason: Reason,
    /// In kubelet's words.
    pub message: String,
}

/// How the customer's container ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub at: Timestamp,
    pub code: i32,
    pub reason: Reason,
}

/// Reads a pod.
pub(crate) fn read(pod: &Pod) -> PodState {
    let meta = &pod.metadata;
    let status = pod.status.clone().unwrap_or_default();
    let failed = status.phase.as_deref() == Some("Failed");
    let given_up = failed.then(|| given_up(&status)).flatten();
    let init = status.init_container_statuses.unwrap_or_default();
    let main = status.container_statuses.unwrap_or_default();
    let conditions = status.conditions.unwrap_or_default();
    let over = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
    let condition = |kind: &str| conditions.iter().find(|c| c.type_ == kind);
    let meter = state(&init, METER_CONTAINER).and_then(|s| s.terminated.as_ref());
    let customer = container(state(&main, JOB_CONTAINER));
    let failure = (failed && customer.ended.is_none())
        .then(|| given_up.clone().or_else(|| probe_failed(&init)).unwrap_or_else(|| not_run(&customer)));
    PodState {
        name: meta.name.clone().unwrap_or_default(),
        uid: meta.uid.clone().unwrap_or_default(),
        addresses: status.pod_ips.iter().flatten().filter_map(|ip| ip.ip.parse().ok()).collect(),
        node: pod.spec.as_ref().and_then(|s| s.node_name.clone()).filter(|n| !n.is_empty()),
        unschedulable: condition("PodScheduled")
            .filter(|c| c.status == "False")
            .map(|c| c.message.clone().or_else(|| c.reason.clone()).unwrap_or_default()),
        deleted: meta.deletion_timestamp.as_ref().map(|t| t.0),
        grace: Duration::from_secs(
            meta.deletion_grace_period_seconds.and_then(|s| u64::try_from(s).ok()).unwrap_or_default(),
        ),
        disruption: condition("DisruptionTarget").filter(|c| c.status == "True").map(|c| {
            (Reason::of_kubernetes(c.reason.as_deref().unwrap_or("Disrupted")), c.message.clone().unwrap_or_default())
        }),
        has_finalizer: meta.finalizers.iter().flatten().any(|f| f == POD_FINALIZER),
        is_finished: over,
        running: !over && init.iter().chain(&main).any(|c| c.state.as_ref().is_some_and(|s| s.running.is_some())),
        meter_ready: init.iter().any(|c| c.name == METER_CONTAINER && c.started == Some(true)),
        // A sidecar is restarted while the pod lives; its end counts once the pod or the customer's container is over.
        meter_over: meter.is_some() && (over || customer.ended.is_some() || meta.deletion_timestamp.is_some()),
        termination_message: init.iter().find(|c| c.name == METER_CONTAINER).and_then(termination::left),
        meter_down: meter_down(&init),
        unhealthy: unhealthy(&main),
        customer,
        failure,
        given_up,
    }
}

/// kubelet's word on the pod as a whole.
fn given_up(status: &PodStatus) -> Option<(Reason, String)> {
    let reason = status.reason.as_deref().filter(|reason| !reason.is_empty())?;
    // kubelet calls it so when the node is shut down in an orderly way; here the word is taken (`spec.terminate`).
    let reason = if reason == "Terminated" { Reason::NodeShutdown } else { Reason::of_kubernetes(reason) };
    Some((reason, status.message.clone().unwrap_or_else(|| "kubelet gave up the pod".to_owned())))
}

fn probe_failed(init: &[ContainerStatus]) -> Option<(Reason, String)> {
    let ended = state(init, PROBE_CONTAINER)?.terminated.as_ref().filter(|t| t.exit_code != 0)?;
    Some((Reason::ProbeFailed, ended.message.clone().or_else(|| ended.reason.clone()).unwrap_or_default()))
}

fn not_run(customer: &Container) -> (Reason, String) {
    match &customer.never_ran {
        Some(never) => {
            (never.reason.clone(), format!("the program could not be started: {}", never.message).trim().to_owned())
        }
        None => (Reason::PodFailed, "the pod failed before the program ended".to_owned()),
    }
}

fn meter_down(init: &[ContainerStatus]) -> Option<String> {
    let meter = init.iter().find(|c| c.name == METER_CONTAINER)?;
    let state = meter.state.as_ref().filter(|state| state.running.is_none())?;
    let ran = meter.restart_count > 0 || meter.last_state.as_ref().is_some_and(|last| last.terminated.is_some());
    if let Some(ended) = &state.terminated {
        let reason = ended.reason.as_deref().unwrap_or("Error");
        return Some(format!("{reason}, exit code {}", ended.exit_code));
    }
    state.waiting.as_ref().filter(|_| ran).map(|waiting| waiting.reason.clone().unwrap_or_else(|| "Waiting".to_owned()))
}

/// Only a cluster with the feature `ResourceHealthStatus` tells it.
fn unhealthy(main: &[ContainerStatus]) -> Vec<String> {
    let customer = main.iter().filter(|c| c.name == JOB_CONTAINER);
    let devices = customer.flat_map(|c| c.allocated_resources_status.iter().flatten());
    let devices = devices.flat_map(|status| status.resources.iter().flatten());
    devices.filter(|device| device.health.as_deref() == Some("Unhealthy")).map(|d| d.resource_id.clone()).collect()
}

/// Whether a container was started then: of one that could not be, runtimes say 1970.
pub(crate) fn is_start(at: Timestamp) -> bool {
    at.as_second() > 0
}

fn state<'a>(statuses: &'a [ContainerStatus], name: &str) -> Option<&'a ContainerState> {
    statuses.iter().find(|c| c.name == name)?.state.as_ref()
}

fn container(state: Option<&ContainerState>) -> Container {
    let Some(state) = state else { return Container::default() };
    let terminated = state.terminated.as_ref();
    let running = state.running.as_ref().and_then(|r| r.started_at.as_ref());
    // A container that never ran is called terminated too when its pod goes: then it has no start.
    let started = terminated.and_then(|t| t.started_at.as_ref()).or(running).map(|t| t.0).filter(|at| is_start(*at));
    let never_ran = terminated.filter(|_| started.is_none()).map(|t| NeverRan {
        at: t.finished_at.as_ref().map(|t| t.0).filter(|at| is_start(*at)),
        reason: t.reason.as_deref().map_or(Reason::StartError, Reason::of_kubernetes),
        message: t.message.clone().unwrap_or_default(),
    });
    Container {
        never_ran,
        waiting: state.waiting.as_ref().map(|w| (word_of(w.reason.as_deref()), w.message.clone().unwrap_or_default())),
        started,
        ended: terminated.filter(|_| started.is_some()).and_then(|t| {
            let at = t.finished_at.as_ref()?.0;
            Some(Ended {
                at,
                code: t.exit_code,
                reason: t.reason.as_deref().map_or(Reason::Error, Reason::of_kubernetes),
            })
        }),
    }
}

/// Why a container waits; kubelet does not always say it.
fn word_of(reason: Option<&str>) -> Reason {
    reason.filter(|reason| !reason.is_empty()).map_or(Reason::Waiting, Reason::of_kubernetes)
}

impl PodState {
    /// No container runs or will run any more, so the last voucher stands in the pod's status or was never written.
    /// `leaving`: for how long it was seen being deleted.
    pub(crate) fn is_terminated(&self, leaving: Duration) -> bool {
        self.is_finished || self.is_unreachable(leaving) || (self.deleted.is_some() && !self.running)
    }

    /// It should be gone for more than a minute and is not: its node does not answer.
    pub(crate) fn is_unreachable(&self, leaving: Duration) -> bool {
        self.deleted.is_some() && leaving > self.grace + NODE_ANSWERS
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
        assert!(ended.is_finished && !ended.running);
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
        assert_eq!(never.failure, Some((Reason::Evicted, "disk".to_owned())));
    }

    #[test]
    fn a_failed_probe_names_what_it_wrote() {
        let state = json!({"terminated": {"exitCode": 1, "message": "no NVML"}});
        let failed = pod(json!({}), json!({"phase": "Failed", "initContainerStatuses": [status("probe", &state)]}));
        assert_eq!(failed.failure, Some((Reason::ProbeFailed, "no NVML".to_owned())));
    }

    #[test]
    fn meters_last_words_count_when_the_job_is_over_and_not_at_a_restart() {
        let state = json!({"terminated": {"exitCode": 0, "message": "v"}});
        let meter = json!([status("meter", &state)]);
        assert!(!pod(json!({}), json!({"phase": "Running", "initContainerStatuses": meter})).meter_over);
        let over = pod(json!({}), json!({"phase": "Succeeded", "initContainerStatuses": meter}));
        assert!(over.meter_over);
        assert_eq!(over.termination_message.as_deref(), Some("v"));
    }

    #[test]
    fn a_pods_addresses_of_both_families_are_read() {
        let both = pod(json!({}), json!({"podIPs": [{"ip": "10.0.0.7"}, {"ip": "fd00::7"}]}));
        assert_eq!(both.addresses, ["10.0.0.7".parse::<IpAddr>().unwrap(), "fd00::7".parse().unwrap()]);
        assert_eq!(pod(json!({}), json!({"phase": "Pending"})).addresses, Vec::<IpAddr>::new());
    }

    #[test]
    fn a_pod_is_quiet_when_nothing_runs_and_nothing_will() {
        let running = json!({"containerStatuses": [status("job", &json!({"running": {"startedAt": T}}))]});
        // The times of API server and operator may be years apart: only what was seen to pass counts.
        let deleted = json!({"deletionTimestamp": T, "deletionGracePeriodSeconds": 30});
        let after = Duration::from_secs;
        assert!(!pod(json!({}), json!({"phase": "Pending"})).is_terminated(after(900)));
        assert!(!pod(deleted.clone(), running.clone()).is_terminated(after(90)));
        assert!(pod(deleted.clone(), running).is_terminated(after(91)), "its node does not answer");
        assert!(pod(deleted, json!({"phase": "Pending"})).is_terminated(after(0)));
        assert!(pod(json!({}), json!({"phase": "Failed"})).is_terminated(after(0)));
    }

    #[test]
    fn a_program_that_could_not_be_started_has_no_start_and_kubelets_words() {
        let state = json!({"terminated": {"startedAt": "1970-01-01T00:00:00Z", "finishedAt": T, "exitCode": 128,
            "reason": "StartError", "message": "exec: \"/no/such\": no such file"}});
        let never = pod(json!({}), json!({"phase": "Failed", "containerStatuses": [status("job", &state)]}));
        assert_eq!((never.customer.started, never.customer.ended), (None, None));
        assert_eq!(never.customer.never_ran.unwrap().at, Some(T.parse().unwrap()));
        let (reason, message) = never.failure.unwrap();
        assert_eq!(reason, Reason::StartError);
        assert_eq!(message, "the program could not be started: exec: \"/no/such\": no such file");
    }

    #[test]
    fn what_kubelet_says_of_the_whole_pod_is_kept_whatever_the_program_did() {
        let ended = json!({"terminated": {"startedAt": T, "finishedAt": T, "exitCode": 143, "reason": "Error"}});
        let statuses = json!([status("job", &ended)]);
        for (said, reason) in [
            ("UnexpectedAdmissionError", Reason::UnexpectedAdmissionError),
            ("Terminated", Reason::NodeShutdown),
            ("Preempting", Reason::Kubernetes("Preempting".to_owned())),
        ] {
            let whole = json!({"phase": "Failed", "reason": said, "message": "words", "containerStatuses": statuses});
            assert_eq!(pod(json!({}), whole).given_up, Some((reason, "words".to_owned())));
        }
        let own = json!({"phase": "Failed", "containerStatuses": statuses});
        assert_eq!(pod(json!({}), own).given_up, None);
    }

    #[test]
    fn a_meter_that_can_not_be_started_again_leaves_its_earlier_words() {
        let key = hawser_attestation::AttestorKey::from_slice(&[3; 32]).unwrap();
        let voucher = hawser_attestation::SignedVoucher::sign(
            &key,
            hawser_attestation::MarketId::default(),
            hawser_market::JobId(hawser_attestation::Digest::ZERO),
            hawser_market::GpuSeconds(7),
            hawser_attestation::EvidenceRoot::EMPTY,
        );
        let words = hawser_attestation::TerminationMessage {
            attestor: key.address(),
            voucher: voucher.unwrap(),
            sequence: 1,
            last: false,
            lines: Vec::new(),
        };
        let words = words.to_text().unwrap();
        let said = |now: &str, before: &str| {
            let mut meter = status("meter", &json!({"terminated": {"exitCode": 128, "message": now}}));
            meter["lastState"] = json!({"terminated": {"exitCode": 101, "message": before}});
            pod(json!({}), json!({"phase": "Failed", "initContainerStatuses": [meter]})).termination_message
        };
        assert_eq!(said("can't get final child's PID from pipe", &words).as_deref(), Some(words.as_str()));
        assert_eq!(said(&words, "older").as_deref(), Some(words.as_str()));
        assert_eq!(said("nonsense", "older").as_deref(), Some("nonsense"));
        assert_eq!(said("", ""), None);
    }

    #[test]
    fn a_meter_is_down_when_kubelet_says_so_and_not_before_it_ran() {
        let down = |state: Value, restarts: u32| {
            let mut meter = status("meter", &state);
            meter["restartCount"] = json!(restarts);
            pod(json!({}), json!({"phase": "Running", "initContainerStatuses": [meter]})).meter_down
        };
        assert_eq!(down(json!({"running": {"startedAt": T}}), 3), None);
        assert_eq!(down(json!({"waiting": {"reason": "PodInitializing"}}), 0), None);
        assert_eq!(down(json!({"waiting": {"reason": "CrashLoopBackOff"}}), 2).as_deref(), Some("CrashLoopBackOff"));
        let ended = json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}});
        assert_eq!(down(ended, 0).as_deref(), Some("OOMKilled, exit code 137"));
    }

    #[test]
    fn a_device_that_is_called_unhealthy_is_named() {
        let mut job = status("job", &json!({"running": {"startedAt": T}}));
        job["allocatedResourcesStatus"] = json!([{"name": "nvidia.com/gpu", "resources": [
            {"resourceID": "GPU-1", "health": "Healthy"}, {"resourceID": "GPU-2", "health": "Unhealthy"}]}]);
        let sick = pod(json!({}), json!({"phase": "Running", "containerStatuses": [job]}));
        assert_eq!(sick.unhealthy, ["GPU-2"]);
    }
}
