//! One order's life: from a `ComputeJob` to its pod, to what the pod used, to the last unit paid or given back.

mod apply;
mod build;
mod decide;
mod dereference;
mod duplicate;
mod expectation;
mod lasting;
mod observed;
mod outcome;
pub(crate) mod pod_state;
mod policy;
mod pull;
mod rehearse;
mod report;
mod steady;
mod surround;
pub(crate) mod sweep;
pub(crate) mod vacancy;
mod voucher;

use std::sync::Arc;
use std::time::Duration;

use hawser_contracts::JobId;
use hawser_crds::condition::SETTLED;
use hawser_crds::{ComputeJob, Phase};
use jiff::Timestamp;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Resource, ResourceExt};

use super::conditions::find;
use super::context::Memory;
use super::packed::Packed;
use super::stock::JobFacts;
use super::watch::name_of;
use super::work::{Backoffs, Lane};
use super::{Context, Error, JOB_FINALIZER, Tried, abandon, status, unreadable};
use crate::attestation::{Attestations, JobRef};
pub(crate) use build::{
    CA_CONFIG_MAP, CanaryInput, POD_FINALIZER, SERVICE_ACCOUNT, UNDER_ANNOTATION, canary, canary_name,
};
pub(crate) use lasting::Timers;
pub(crate) use observed::PodRefused;
pub(crate) use outcome::REORGED;
pub(crate) use rehearse::{NotTaken, rehearse};
pub(crate) use surround::{attestation_address, surround};

pub(crate) const KIND: &str = "ComputeJob";

/// How long the watch has to show what this operator wrote last: a look at what was before would undo it. The job is
/// looked at when it does; afterwards the API server itself is asked.
const CATCH_UP: Duration = Duration::from_secs(2);

/// Waits for a slot of the job's network, and looks at the job as it is then.
pub(crate) async fn reconcile_in_turn(packed: Arc<Packed>, context: Arc<Context>) -> Result<Action, Error> {
    let slot = context.slots.enter(packed.facts.as_deref().map_or_else(Lane::default, lane)).await;
    let now = context.jobs.store.get(&ObjectRef::from_obj(&*packed)).unwrap_or(packed);
    // Thousands may wait: only what looks is as large as a look.
    let looked = Box::pin(reconcile(now, context)).await;
    drop(slot);
    looked
}

/// With whom a job waits for its look.
fn lane(job: &JobFacts) -> Lane {
    Lane { network: job.network.clone().unwrap_or_default(), new: job.claim.is_some_and(|claim| claim.waiting) }
}

/// Looks at a job and takes its next step.
async fn reconcile(packed: Arc<Packed>, context: Arc<Context>) -> Result<Action, Error> {
    context.metrics.reconciles(KIND).inc();
    context.ready().await?;
    let (_busy, _timed) = (context.work.begin(KIND), context.metrics.timed(KIND));
    let job = match packed.job().0 {
        Ok(job) => Arc::new(job),
        Err(invalid) => return unreadable::job(&invalid, &context).await,
    };
    drop(packed);
    unreadable::was_read(&job.metadata, &context);
    let namespace = job.namespace().ok_or(Error::Unnamed("namespace"))?;
    let api: Api<ComputeJob> = Api::namespaced(context.client.clone(), &namespace);
    let job = match shown(context.memory.behind(&job)) {
        Shown::AsItIs => job,
        Shown::AsItWas => match fresh(&api, &job).await? {
            Some(job) => Arc::new(job),
            None => return Ok(Action::await_change()),
        },
        Shown::SoonAsItIs(wait) => return Ok(Action::requeue(wait)),
    };
    if let Some(settled) = settled_since(&job) {
        if job.metadata.deletion_timestamp.is_none() {
            return retire(&api, &job, settled, &context).await;
        }
        // Whatever the chain says of its order now is not this job's any more.
        finish(&context, &api, dereference::job_id(&job)?, &job).await?;
        return Ok(Action::await_change());
    }
    if abandon::is_asked(&job.metadata) {
        abandon::write_down(&context, "ComputeJob", &job.object_ref(&()), &abandon::of_job(&job)).await;
        abandon::drop_pod(&context, &job.metadata).await?;
        finish(&context, &api, dereference::job_id(&job)?, &job).await?;
        return Ok(Action::await_change());
    }
    if let Some(whose) = duplicate::belongs(&job, dereference::job_id(&job)?, &context) {
        duplicate::refuse(&api, &job, &whose, &context).await?;
        return Ok(Action::await_change());
    }
    if job.metadata.deletion_timestamp.is_none() {
        // Before anything outside is touched. Orders come with it; a job written by hand gets it here.
        status::set_finalizer(&api, &job, JOB_FINALIZER, true).await?;
    }

    let facts = dereference::dereference(&job, &context).await?;
    if facts.chain_is_seen() {
        // What was expected before goes on while the chain can't be seen.
        context.attestations.expect(expectation::expected(&facts, job_ref(&job)));
    }
    let seen = dereference::hear_last_words(facts, &context).await;
    let mut decision = decide::decide(&seen);
    if job.metadata.deletion_timestamp.is_some() && !seen.chain_is_seen() {
        abandon::advise(&mut decision.status.conditions, SETTLED);
    }

    let applied = apply::apply(&context, &seen, &decision).await;
    let written = status::write(&api, &job, job.status.as_ref(), &decision.status).await?;
    context.memory.wrote(&job, written);
    apply::tell(&context, &seen, &decision).await;
    applied?;
    if decision.done {
        finish(&context, &api, seen.id, &job).await?;
    }
    Ok(Action::requeue(decision.again))
}

/// How many jobs there are in each phase.
pub(crate) fn phases(jobs: &[Arc<Packed>]) -> Vec<(&'static str, usize)> {
    let mut counts = [
        ("Pending", 0),
        ("Starting", 0),
        ("Running", 0),
        ("Settling", 0),
        ("Succeeded", 0),
        ("Failed", 0),
        ("Declined", 0),
        ("Unreadable", 0),
    ];
    for job in jobs {
        let place = match job.phase() {
            Some(Phase::Pending) => 0,
            Some(Phase::Starting) => 1,
            Some(Phase::Running) => 2,
            Some(Phase::Settling) => 3,
            Some(Phase::Succeeded) => 4,
            Some(Phase::Failed) => 5,
            Some(Phase::Declined) => 6,
            None => 7,
        };
        counts[place].1 += 1;
    }
    counts.to_vec()
}

/// How the cache shows a job.
#[derive(Debug, PartialEq, Eq)]
enum Shown {
    AsItIs,
    /// As it was before the last write; the watch will show that, and makes the job due then.
    SoonAsItIs(Duration),
    /// As it was before, for so long that the watch may have stopped.
    AsItWas,
}

/// How it shows a job that it has shown for so long as it was before the last write.
fn shown(behind: Option<Duration>) -> Shown {
    match behind {
        None => Shown::AsItIs,
        Some(behind) if behind < CATCH_UP => Shown::SoonAsItIs(CATCH_UP.saturating_sub(behind)),
        Some(_) => Shown::AsItWas,
    }
}

/// A job as the API server has it; none where it is gone.
async fn fresh(api: &Api<ComputeJob>, job: &ComputeJob) -> Result<Option<ComputeJob>, Error> {
    let name = job.name_any();
    let fresh = api.get_opt(&name).await.tried(|| format!("ComputeJob {name}"))?;
    Ok(fresh.filter(|fresh| fresh.metadata.uid == job.metadata.uid))
}

/// Until when nothing is to be done for a settled job, which is kept for those who want to read of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// Nothing is to be done until then.
    Until(Timestamp),
    /// Its pod is to be deleted; from then on nothing is to be done.
    From(Timestamp),
    /// It is not settled, or is to be deleted.
    Not,
}

/// How long a job rests, that is kept for so long after it was settled.
pub(crate) fn rest(job: &ComputeJob, keep: Duration, now: Timestamp) -> Rest {
    let Some(settled) = settled_since(job).filter(|_| job.metadata.deletion_timestamp.is_none()) else {
        return Rest::Not;
    };
    let after = |while_: Duration| settled.checked_add(while_).unwrap_or(Timestamp::MAX);
    let (pod, pod_gone, end) = (after(sweep::POD_KEPT), after(sweep::POD_KEPT + sweep::OWN_LOOK), after(keep));
    if now >= end {
        Rest::Not
    } else if now < pod {
        Rest::Until(pod.min(end))
    } else if now < pod_gone {
        Rest::From(pod_gone.min(end))
    } else {
        Rest::Until(end)
    }
}

/// The job is at rest, or gone: what was kept of it is forgotten.
pub(crate) fn forget(memory: &Memory, backoffs: &Backoffs, attestations: Option<&Attestations>, job: &ComputeJob) {
    backoffs.forget(KIND, name_of(job));
    if let Some(attestations) = attestations {
        attestations.forget(&job_ref(job));
    }
    if let Ok(id) = dereference::job_id(job) {
        memory.forget_job(id, job);
    }
}

/// Everything is settled: chain and pod need not be looked at.
fn settled_since(job: &ComputeJob) -> Option<Timestamp> {
    let settled = find(&job.status.as_ref()?.conditions, SETTLED).filter(|c| c.status == "True")?;
    Some(settled.last_transition_time.0)
}

/// Deletes a settled job, with its pod and what else belongs to it, once it was kept for long enough.
async fn retire(
    api: &Api<ComputeJob>,
    job: &ComputeJob,
    settled: Timestamp,
    context: &Context,
) -> Result<Action, Error> {
    let kept = Duration::try_from(Timestamp::now().duration_since(settled)).unwrap_or_default();
    let keep = Duration::from_secs(context.config.job_retention_seconds);
    let pod_left = sweep::POD_KEPT.saturating_sub(kept);
    if pod_left.is_zero() && kept < sweep::POD_KEPT + sweep::OWN_LOOK {
        sweep::delete_pod_of(context, job).await?;
    }
    if kept < keep {
        // The watch has it looked at when its rest is over: for its pod, and for itself.
        return Ok(Action::await_change());
    }
    status::delete(api, &job.name_any()).await?;
    Ok(Action::await_change())
}

async fn finish(context: &Context, api: &Api<ComputeJob>, id: JobId, job: &Arc<ComputeJob>) -> Result<(), Error> {
    context.attestations.forget(&job_ref(job));
    context.memory.forget_job(id, job);
    if job.metadata.deletion_timestamp.is_some() {
        status::set_finalizer(api, job, JOB_FINALIZER, false).await?;
    }
    Ok(())
}

/// What to do after a failed reconcile: try again, later each time; what was wrong is in the log and in the metrics.
#[expect(clippy::needless_pass_by_value, reason = "the signature that Controller::run takes")]
pub(crate) fn failed(packed: Arc<Packed>, error: &Error, context: Arc<Context>) -> Action {
    context.metrics.errors(KIND).inc();
    tracing::warn!(job = %packed.name_any(), namespace = packed.namespace(), %error, "reconcile failed");
    Action::requeue(context.backoffs.failed(KIND, name_of(&*packed)))
}

fn job_ref(job: &ComputeJob) -> JobRef {
    JobRef { namespace: job.namespace().unwrap_or_default(), name: job.name_any() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn jobs_are_counted_by_phase_and_those_that_cant_be_read_apart() {
        let job = |more: serde_json::Value| -> Arc<Packed> {
            let mut job = json!({
                "apiVersion": "hawser.dev/v1alpha1", "kind": "ComputeJob", "metadata": {"name": "j"},
                "spec": {"offerRef": "o", "workload": {"image": "i", "gpus": 1}}
            });
            job.as_object_mut().unwrap().append(more.clone().as_object_mut().unwrap());
            Arc::new(Packed::new(&serde_json::from_value(job).unwrap()))
        };
        let in_phase = |phase: Phase| job(json!({"status": {"phase": phase}}));
        let all = [
            Phase::Pending,
            Phase::Starting,
            Phase::Running,
            Phase::Settling,
            Phase::Succeeded,
            Phase::Failed,
            Phase::Declined,
        ];
        for (index, phase) in all.into_iter().enumerate() {
            let counts = phases(&[in_phase(phase), in_phase(phase), job(json!({"spec": {}}))]);
            assert_eq!(counts[index], (format!("{phase:?}").as_str(), 2));
            assert_eq!(counts.last(), Some(&("Unreadable", 1)));
            assert_eq!(counts.iter().map(|(_, jobs)| jobs).sum::<usize>(), 3, "{counts:?}");
        }
        assert_eq!(phases(&[job(json!({}))])[0], ("Pending", 1), "it has no status yet");
    }

    #[test]
    fn a_job_rests_when_it_is_settled_and_not_to_be_deleted() {
        let job = |settled: &str, deleted: serde_json::Value| -> ComputeJob {
            serde_json::from_value(json!({
                "apiVersion": "hawser.dev/v1alpha1", "kind": "ComputeJob",
                "metadata": {"name": "j", "deletionTimestamp": deleted},
                "spec": {"offerRef": "o", "workload": {"image": "i", "gpus": 1}},
                "status": {"conditions": [{"type": SETTLED, "status": settled, "reason": "R", "message": "",
                    "lastTransitionTime": "2026-01-01T00:00:00Z"}]}
            }))
            .unwrap()
        };
        let at = |time: &str| -> Timestamp { format!("2026-01-01T{time}Z").parse().unwrap() };
        let (hour, minute, deleted) = (Duration::from_hours(1), Duration::from_mins(1), json!("2026-01-01T00:00:00Z"));
        for (settled, deleted, keep, now, expected) in [
            ("True", json!(null), hour, "00:00:00", Rest::Until(at("00:10:00"))),
            // Its pod goes ten minutes after it was settled.
            ("True", json!(null), hour, "00:10:00", Rest::From(at("00:15:00"))),
            ("True", json!(null), hour, "00:14:59", Rest::From(at("00:15:00"))),
            ("True", json!(null), hour, "00:15:00", Rest::Until(at("01:00:00"))),
            ("True", json!(null), hour, "01:00:00", Rest::Not),
            ("True", json!(null), minute, "00:00:30", Rest::Until(at("00:01:00"))),
            ("True", json!(null), minute * 12, "00:11:00", Rest::From(at("00:12:00"))),
            ("True", json!(null), Duration::MAX, "00:20:00", Rest::Until(Timestamp::MAX)),
            ("False", json!(null), hour, "00:00:00", Rest::Not),
            ("True", deleted, hour, "00:00:00", Rest::Not),
        ] {
            assert_eq!(rest(&job(settled, deleted), keep, at(now)), expected, "{settled} {keep:?} {now}");
        }
    }

    #[test]
    fn a_watch_that_stands_still_is_waited_for_once_and_then_passed_by() {
        let ms = Duration::from_millis;
        assert_eq!(shown(None), Shown::AsItIs);
        assert_eq!(shown(Some(ms(0))), Shown::SoonAsItIs(ms(2000)));
        assert_eq!(shown(Some(ms(1900))), Shown::SoonAsItIs(ms(100)));
        assert_eq!((shown(Some(ms(2000))), shown(Some(ms(900_000)))), (Shown::AsItWas, Shown::AsItWas));
    }
}
