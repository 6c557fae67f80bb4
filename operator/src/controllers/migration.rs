//! Jobs that an earlier release wrote. Its status said in conditions alone what stands in typed fields today: that is read here,
//! where a job comes from the API server, and nowhere else. The fields are stored with the next write of the job's status. After a
//! rollback the older operator removes them, and they are read again.

use hawser_crds::condition::{ACCEPTED, ATTESTED, COMPLETE, FAILED, SETTLED, STARTED};
use hawser_crds::{ComputeJob, ComputeJobStatus, Outcome};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use serde_json::Value;

use super::compute_job::on_chain;
use super::conditions::{find, is_false};
use crate::reasons::Reason;

/// How the message of `Attested` began where reports were missing.
const NO_REPORT: &str = "no report since ";

/// A job as it comes from the API server.
pub(crate) fn of_any_release(mut job: ComputeJob) -> ComputeJob {
    if let Some(status) = &mut job.status {
        read_conditions(status);
    }
    job
}

/// Fills in what an earlier release said in conditions alone. Whether there was anything.
fn read_conditions(status: &mut ComputeJobStatus) -> bool {
    let before = status.clone();
    let true_since = |kind| find(&before.conditions, kind).filter(|c| c.status == "True");
    let at = |kind| true_since(kind).map(|condition| condition.last_transition_time.clone());
    status.accepted_at = status.accepted_at.take().or_else(|| at(ACCEPTED));
    status.started_at = status.started_at.take().or_else(|| at(STARTED));
    status.settled_at = status.settled_at.take().or_else(|| at(SETTLED));
    status.silent_since = status.silent_since.take().or_else(|| silent_since(&before.conditions));
    let over = true_since(COMPLETE).map(|c| (c, Outcome::Completed));
    let over = over.or_else(|| true_since(FAILED).map(|c| (c, failed(c, &before.conditions))));
    if let (None, Some((condition, outcome))) = (status.outcome, over) {
        let reason = Reason::read(&condition.reason);
        status.outcome = Some(outcome);
        status.decline_reason = Some(on_chain(outcome, &reason, &condition.message));
        status.reason = Some(condition.reason.clone());
        status.message = Some(condition.message.clone());
    }
    *status != before
}

/// `Failed` was the word for everything that was not `Complete`.
fn failed(condition: &Condition, all: &[Condition]) -> Outcome {
    match Reason::read(&condition.reason) {
        Reason::Reorged => Outcome::Reorged,
        Reason::DuplicateOrder => Outcome::Duplicate,
        _ if is_false(all, ACCEPTED) => Outcome::Declined,
        _ => Outcome::Failed,
    }
}

fn silent_since(conditions: &[Condition]) -> Option<Time> {
    let told = find(conditions, ATTESTED)?;
    let (since, _) = told.message.split_once(NO_REPORT)?.1.split_once(',')?;
    since.parse().ok().map(Time)
}

/// When a job was settled that may be one which can't be read.
pub(crate) fn settled_at(job: &Value, conditions: &[Condition]) -> Option<Timestamp> {
    let written = job.pointer("/status/settledAt").and_then(Value::as_str).and_then(|at| at.parse().ok());
    written.or_else(|| Some(find(conditions, SETTLED).filter(|c| c.status == "True")?.last_transition_time.0))
}

/// Whether a job that may be one which can't be read says that it is over. Any outcome will do: a newer operator may know more.
pub(crate) fn is_over(job: &Value) -> bool {
    has(job, "/status/outcome") || says(job, COMPLETE) || says(job, FAILED)
}

/// The same of whether it is settled.
pub(crate) fn is_settled(job: &Value) -> bool {
    has(job, "/status/settledAt") || says(job, SETTLED)
}

fn has(job: &Value, field: &str) -> bool {
    job.pointer(field).is_some_and(Value::is_string)
}

fn says(job: &Value, kind: &str) -> bool {
    let conditions = job.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().any(|c| c["type"] == kind && c["status"] == "True")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const T: &str = "2026-01-01T00:00:00Z";

    fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Value {
        json!({"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": T})
    }

    fn status(conditions: &[Value]) -> ComputeJobStatus {
        serde_json::from_value(json!({"phase": "Settling", "conditions": conditions})).unwrap()
    }

    #[test]
    fn how_a_job_of_an_earlier_release_ended_is_read_of_its_conditions() {
        let failed = |reason: &str, message: &str| condition(FAILED, "True", reason, message);
        let declined = || condition(ACCEPTED, "False", "NoCapacity", "0 are free");
        let accepted = || condition(ACCEPTED, "True", "WithinPolicy", "m");
        for (conditions, outcome, reason, on_chain) in [
            (vec![accepted()], None, None, None),
            (vec![accepted(), condition(COMPLETE, "False", "R", "m")], None, None, None),
            (
                vec![accepted(), condition(COMPLETE, "True", "TimeUp", "m")],
                Some(Outcome::Completed),
                Some("TimeUp"),
                Some("TimeUp"),
            ),
            (
                vec![accepted(), failed("OOMKilled", "exit code 137")],
                Some(Outcome::Failed),
                Some("OOMKilled"),
                Some("OOMKilled"),
            ),
            (
                vec![accepted(), failed("Terminated", "spec.terminate is set")],
                Some(Outcome::Failed),
                Some("Terminated"),
                Some("Terminated: spec.terminate is set"),
            ),
            (
                vec![declined(), failed("NoCapacity", "0 are free")],
                Some(Outcome::Declined),
                Some("NoCapacity"),
                Some("NoCapacity: 0 are free"),
            ),
            (
                vec![declined(), failed("InvalidImage", "a stranger's words")],
                Some(Outcome::Declined),
                Some("InvalidImage"),
                Some("InvalidImage: the image is not an image reference"),
            ),
            (
                vec![
                    condition(ACCEPTED, "False", "StartDeadlinePassed", "late"),
                    failed("StartDeadlinePassed", "late"),
                ],
                Some(Outcome::Declined),
                Some("StartDeadlinePassed"),
                Some("StartDeadlinePassed: late"),
            ),
            (vec![accepted(), failed("Reorged", "m")], Some(Outcome::Reorged), Some("Reorged"), Some("Reorged")),
            (
                vec![condition(ACCEPTED, "False", "DuplicateOrder", "m"), failed("DuplicateOrder", "m")],
                Some(Outcome::Duplicate),
                Some("DuplicateOrder"),
                Some("DuplicateOrder"),
            ),
        ] {
            let mut read = status(&conditions);
            assert!(read_conditions(&mut read) || conditions.is_empty(), "{conditions:?}");
            let got = (read.outcome, read.reason.as_deref(), read.decline_reason.as_deref());
            assert_eq!(got, (outcome, reason, on_chain), "{conditions:?}");
            let again = read.clone();
            assert!(!read_conditions(&mut read) && read == again, "it is read once: {conditions:?}");
        }
    }

    #[test]
    fn when_a_job_of_an_earlier_release_began_was_silent_and_was_settled_is_read_of_its_conditions() {
        let at: Timestamp = T.parse().unwrap();
        let silent = "no voucher came yet: no report since 2026-01-02T00:00:00Z, meter is not connected";
        let mut read = status(&[
            condition(ACCEPTED, "True", "WithinPolicy", "m"),
            condition(STARTED, "True", "StartUndone", "m"),
            condition(ATTESTED, "False", "ReportsStopped", silent),
            condition(SETTLED, "True", "Closed", "m"),
        ]);
        assert!(read_conditions(&mut read));
        let times = [read.accepted_at, read.started_at, read.settled_at].map(|time| time.map(|time| time.0));
        assert_eq!(times, [Some(at); 3]);
        assert_eq!(read.silent_since.map(|since| since.0.to_string()).as_deref(), Some("2026-01-02T00:00:00Z"));
        let mut early = status(&[
            condition(STARTED, "False", "WaitingForChain", "m"),
            condition(ATTESTED, "False", "NoVoucher", "no voucher came yet"),
            condition(SETTLED, "Unknown", "NetworkUnavailable", "m"),
        ]);
        assert!(!read_conditions(&mut early), "nothing has come true: {early:?}");
    }

    #[test]
    fn what_is_written_counts_and_not_what_conditions_say_of_it() {
        let typed = json!({"outcome": "Failed", "reason": "GpuLost", "message": "the card", "declineReason": "GpuLost",
            "acceptedAt": "2026-01-03T00:00:00Z", "settledAt": "2026-01-04T00:00:00Z",
            "conditions": [condition(ACCEPTED, "True", "Other", "m"), condition(COMPLETE, "True", "Other", "m"),
                condition(SETTLED, "True", "Other", "m")]});
        let mut read: ComputeJobStatus = serde_json::from_value(typed.clone()).unwrap();
        assert!(!read_conditions(&mut read));
        assert_eq!((read.outcome, read.reason.as_deref()), (Some(Outcome::Failed), Some("GpuLost")));
        let raw = json!({"status": typed});
        let since = settled_at(&raw, &read.conditions).map(|at| at.to_string());
        assert_eq!(since.as_deref(), Some("2026-01-04T00:00:00Z"));
    }

    #[test]
    fn of_a_job_that_can_not_be_read_too_it_is_known_whether_it_is_over_and_settled() {
        for (status, over, settled) in [
            (json!({}), false, false),
            (json!({"conditions": [condition(FAILED, "True", "R", "m")]}), true, false),
            (
                json!({"conditions": [condition(COMPLETE, "True", "R", "m"), condition(SETTLED, "True", "R", "m")]}),
                true,
                true,
            ),
            (json!({"outcome": "OfANewerOperator", "settledAt": T}), true, true),
            (json!({"outcome": 7, "settledAt": 7, "conditions": "none"}), false, false),
        ] {
            let raw = json!({"status": status});
            assert_eq!((super::is_over(&raw), super::is_settled(&raw)), (over, settled), "{status}");
        }
    }
}
