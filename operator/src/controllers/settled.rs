//! Jobs that are settled. They are kept for those who want to read of them, for days, and nothing is done for them: so they
//! lie at the API server alone. Their phase says that they are settled, and by it they are left out of what is watched;
//! an annotation says since when, so that a list of metadata tells which of them are to be deleted.

use std::time::Duration;

use hawser_crds::{ComputeJob, Phase};
use jiff::Timestamp;
use kube::Api;
use kube::api::{DynamicObject, ObjectMeta};
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::unreadable::conditions;
use super::{Error, JOB_FINALIZER, migration, status_writer};
use crate::objects::is_settled;

/// When a job was settled, once nothing of this operator's holds it any more.
const SETTLED_AT: &str = "hawser.dev/settled-at";

/// Selects by their phase the jobs that are not settled.
pub(crate) fn live() -> String {
    Phase::SETTLED.map(|phase| format!("status.phase!={}", phase.word())).join(",")
}

/// Whether nothing is to be done for a job until its time is over: it is not among those that are watched.
pub(crate) fn is_at_rest(job: &ComputeJob) -> bool {
    let phase = job.status.as_ref().map(|status| status.phase);
    is_settled(job) && phase.is_some_and(|phase| Phase::SETTLED.contains(&phase)) && !waits_for_us(job)
}

/// The same of an object that may be one which can't be read.
pub(crate) fn is_at_rest_unread(job: &DynamicObject) -> bool {
    since(&job.data).is_some() && is_of_their_phase(&job.data) && !waits_for_us(job)
}

fn waits_for_us<K: ResourceExt>(job: &K) -> bool {
    job.meta().deletion_timestamp.is_some() && is_held(job)
}

fn is_held<K: ResourceExt>(job: &K) -> bool {
    job.finalizers().iter().any(|finalizer| finalizer == JOB_FINALIZER)
}

/// Since when everything is settled, of an object that may be one which can't be read.
pub(crate) fn since(job: &Value) -> Option<Timestamp> {
    migration::settled_at(job, &conditions(job))
}

/// Writes down when a job was settled and lets it go: whoever deletes it then waits for nobody.
pub(crate) async fn let_go<K>(api: &Api<K>, meta: &ObjectMeta, since: Timestamp) -> Result<(), Error>
where
    K: Resource + Clone + DeserializeOwned + std::fmt::Debug,
{
    status_writer::let_go(api, meta, JOB_FINALIZER, (SETTLED_AT, &written(since))).await
}

/// Whole seconds, as in the status.
fn written(since: Timestamp) -> String {
    Timestamp::from_second(since.as_second()).unwrap_or(since).to_string()
}

/// Whether a job of a settled phase has to be looked at: it may be time to delete it, or it is not as this operator leaves
/// settled jobs: an earlier release left it, or somebody's hand has changed it.
pub(crate) fn is_to_be_seen<K: ResourceExt>(job: &K, keep: Duration, now: Timestamp) -> bool {
    let held = is_held(job);
    if job.meta().deletion_timestamp.is_some() {
        return held;
    }
    let since = job.annotations().get(SETTLED_AT).and_then(|at| at.parse().ok());
    held || since.is_none_or(|since: Timestamp| since > now || is_over(since, keep, now))
}

/// What to do with a job of a settled phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SettledStep {
    /// It is not settled: its phase is taken back, so that it is watched again.
    Wake,
    /// It was settled then, and is kept.
    LetGo(Timestamp),
    /// It was settled then, and kept for long enough.
    Delete(Timestamp),
}

/// Whether an object's phase is that of a settled job.
pub(crate) fn is_of_their_phase(job: &Value) -> bool {
    let phase = job.pointer("/status/phase").and_then(Value::as_str);
    phase.is_some_and(|phase| Phase::SETTLED.iter().any(|settled| settled.word() == phase))
}

/// Decides from the whole object.
pub(crate) fn step(meta: &ObjectMeta, since: Option<Timestamp>, keep: Duration, now: Timestamp) -> SettledStep {
    match since {
        None => SettledStep::Wake,
        Some(since) if meta.deletion_timestamp.is_none() && is_over(since, keep, now) => SettledStep::Delete(since),
        Some(since) => SettledStep::LetGo(since),
    }
}

fn is_over(since: Timestamp, keep: Duration, now: Timestamp) -> bool {
    now >= since.checked_add(keep).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn at(time: &str) -> Timestamp {
        format!("2026-01-01T{time}Z").parse().unwrap()
    }

    fn job(metadata: &Value, status: &Value) -> ComputeJob {
        serde_json::from_value(json!({
            "apiVersion": "hawser.dev/v1alpha1", "kind": "ComputeJob", "metadata": metadata, "status": status,
            "spec": {"offerRef": "o", "workload": {"image": "i", "gpus": 1}}
        }))
        .unwrap()
    }

    #[test]
    fn the_phases_of_settled_jobs_are_selected_by_the_words_that_stand_in_their_status() {
        for phase in Phase::ALL {
            assert_eq!(json!(phase), phase.word());
            let leaves_out = live().split(',').any(|term| term == format!("status.phase!={}", phase.word()));
            assert_eq!(leaves_out, Phase::SETTLED.contains(&phase));
            assert_eq!(is_of_their_phase(&json!({"status": {"phase": phase}})), Phase::SETTLED.contains(&phase));
        }
    }

    #[test]
    fn a_job_is_at_rest_when_its_time_and_its_phase_say_that_it_is_settled_and_no_deletion_waits_for_this_operator() {
        let deleted = || json!("2026-01-01T00:00:00Z");
        for (settled, phase, deleted, finalizer, expected) in [
            (true, "Succeeded", json!(null), JOB_FINALIZER, true),
            (true, "Failed", json!(null), JOB_FINALIZER, true),
            (true, "Declined", json!(null), JOB_FINALIZER, true),
            (true, "Settling", json!(null), JOB_FINALIZER, false),
            (false, "Succeeded", json!(null), JOB_FINALIZER, false),
            (true, "Succeeded", deleted(), JOB_FINALIZER, false),
            (true, "Succeeded", deleted(), "theirs", true),
        ] {
            let settled_at = settled.then_some("2026-01-01T00:00:00Z");
            let metadata = json!({"name": "j", "deletionTimestamp": deleted, "finalizers": [finalizer]});
            let job = job(&metadata, &json!({"phase": phase, "settledAt": settled_at}));
            assert_eq!(is_at_rest(&job), expected, "{settled} {phase} {deleted} {finalizer}");
            let mut unread = serde_json::to_value(&job).unwrap();
            unread["spec"] = json!("of a newer operator");
            let unread = serde_json::from_value(unread).unwrap();
            assert_eq!(is_at_rest_unread(&unread), expected, "{settled} {phase} {deleted} {finalizer}");
        }
    }

    #[test]
    fn a_settled_job_is_looked_at_when_its_time_is_over_or_it_is_not_as_it_was_left() {
        let note = |at: &str| json!({SETTLED_AT: at});
        for (annotations, finalizers, deleted, expected, why) in [
            (note("2026-01-01T00:30:00Z"), json!([]), false, false, "it is kept"),
            (note("2026-01-01T00:30:00Z"), json!(["theirs"]), false, false, "held by others"),
            (note("2026-01-01T00:00:00Z"), json!([]), false, true, "its time is over"),
            (note("2026-01-01T00:30:00Z"), json!([JOB_FINALIZER]), false, true, "an earlier release left it"),
            (json!({}), json!([]), false, true, "somebody took the annotation away"),
            (note("2027-01-01T00:00:00Z"), json!([]), false, true, "nothing was settled in the future"),
            (note("soon"), json!([]), false, true, "no time"),
            (json!({}), json!([JOB_FINALIZER]), true, true, "it waits for the finalizer"),
            (note("2026-01-01T00:00:00Z"), json!(["theirs"]), true, false, "it waits for others"),
        ] {
            let deleted = deleted.then_some("2026-01-01T00:50:00Z");
            let metadata = json!({"name": "j", "annotations": annotations, "finalizers": finalizers, "deletionTimestamp": deleted});
            assert_eq!(is_to_be_seen(&job(&metadata, &json!(null)), HOUR, at("01:00:00")), expected, "{why}");
        }
    }

    #[test]
    fn a_job_that_is_settled_is_kept_for_its_time_and_one_that_is_not_is_woken() {
        let kept: ObjectMeta = serde_json::from_value(json!({"name": "j"})).unwrap();
        let deleted = serde_json::from_value(json!({"deletionTimestamp": "2026-01-01T00:50:00Z"})).unwrap();
        for (meta, since, expected) in [
            (&kept, None, SettledStep::Wake),
            (&kept, Some(at("00:00:01")), SettledStep::LetGo(at("00:00:01"))),
            (&kept, Some(at("00:00:00")), SettledStep::Delete(at("00:00:00"))),
            (&deleted, Some(at("00:00:00")), SettledStep::LetGo(at("00:00:00"))),
            (&deleted, None, SettledStep::Wake),
        ] {
            assert_eq!(step(meta, since, HOUR, at("01:00:00")), expected, "{since:?}");
        }
        assert_eq!(
            step(&kept, Some(at("00:00:00")), Duration::MAX, at("01:00:00")),
            SettledStep::LetGo(at("00:00:00"))
        );
    }

    #[test]
    fn the_time_is_written_in_whole_seconds() {
        assert_eq!(written("2026-01-01T00:00:07.9Z".parse().unwrap()), "2026-01-01T00:00:07Z");
    }
}
