//! One order's life: from a `ComputeJob` to its pod, to what the pod used, to the last unit paid or given back.

mod apply;
mod decide;
mod dereference;
mod duplicate;
mod ended;
mod expectation;
mod lasting;
mod manifests;
pub(crate) mod memory;
mod observed;
mod outcome;
pub(crate) mod pod_state;
mod policy;
pub(crate) use policy::stored;
mod pull;
mod rehearse;
mod status;
mod steady;
mod surround;
pub(crate) mod sweep;
mod voucher;
mod written;

use std::sync::Arc;
use std::time::Duration;

use hawser_crds::condition::SETTLED;
use hawser_crds::{ComputeJob, Phase};
use hawser_market::JobId;
use jiff::Timestamp;
use kube::api::ObjectMeta;
use kube::{Api, Resource, ResourceExt};
use tracing::{Span, field, info_span};

use super::look::Action;
use super::packed::Packed;
use super::watch::name_of;
use super::work::{Backoffs, Lane};
use super::{Error, JOB_FINALIZER, Tried, abandon, migration, settled, status_writer, unreadable};
use crate::attestation::{Attestations, JobRef};
pub(crate) use ended::on_chain;
pub(crate) use manifests::{
    CA_CONFIG_MAP, CanaryInput, POD_FINALIZER, SERVICE_ACCOUNT, UNDER_ANNOTATION, canary, canary_name,
};
use memory::{JobContext, JobMemory};
pub(crate) use observed::PodRefused;
pub(crate) use rehearse::{NotTaken, rehearse};
pub(crate) use surround::{attestation_address, put_ca, surround};

pub(crate) const KIND: &str = "ComputeJob";

/// How long the watch has to show what this operator wrote last: a look at what was before would undo it. The job is
/// looked at when it does; afterwards the API server itself is asked.
const CATCH_UP: Duration = Duration::from_secs(2);

/// When a settled job that is watched nevertheless is looked at again: its phase is not that of a settled one.
const UNWATCHED: Duration = Duration::from_mins(10);

/// With whom a job waits for its look.
pub(crate) fn lane(job: &Packed) -> Lane {
    let Some(job) = job.facts.as_deref().filter(|job| !job.unread) else { return Lane::Rest };
    Lane::Live { network: job.network.clone(), new: job.claim.is_some_and(|claim| claim.waiting) }
}

/// What every line that is logged of a look says.
pub(crate) fn span(job: &Packed) -> Span {
    let (namespace, name) = name_of(job);
    let facts = job.facts.as_deref();
    let (offer, network) = (facts.map(|facts| facts.offer.as_str()), facts.and_then(|facts| facts.network.as_deref()));
    info_span!(
        "reconcile",
        kind = KIND,
        namespace,
        object = name,
        offer,
        network,
        job = job.order().map(field::display)
    )
}

/// Looks at a job and takes its next step.
pub(crate) async fn reconcile(packed: Arc<Packed>, context: Arc<JobContext>) -> Result<Action, Error> {
    let shared = &*context.shared;
    shared.metrics.reconciles(KIND).inc();
    shared.ready().await?;
    let (_busy, _timed) = (shared.work.begin(KIND), shared.metrics.timed(KIND));
    let job = match packed.job().0 {
        Ok(job) => Arc::new(job),
        Err(invalid) => return unreadable::job(&invalid, shared).await,
    };
    drop(packed);
    unreadable::was_read(&job.metadata, shared);
    let namespace = job.namespace().ok_or(Error::Unnamed("namespace"))?;
    let api: Api<ComputeJob> = Api::namespaced(shared.client.clone(), &namespace);
    let job = match shown(context.memory.behind(&job)) {
        Shown::AsItIs => job,
        Shown::AsItWas => match fresh(&api, &job).await? {
            Some(job) => Arc::new(job),
            None => return Ok(Action::await_change()),
        },
        Shown::SoonAsItIs(wait) => return Ok(Action::requeue(wait)),
    };
    if let Some(since) = settled_since(&job) {
        if job.metadata.deletion_timestamp.is_none() {
            retire(&api, &job.metadata, since).await;
            return Ok(Action::requeue(UNWATCHED));
        }
        // Whatever the chain says of its order now is not this job's any more.
        finish(&context, &api, dereference::job_id(&job)?, &job).await?;
        return Ok(Action::await_change());
    }
    if abandon::is_asked(&job.metadata) {
        abandon::write_down(shared, "ComputeJob", &job.object_ref(&()), &abandon::of_job(&job)).await;
        abandon::drop_pod(&shared.client, &job.metadata).await?;
        finish(&context, &api, dereference::job_id(&job)?, &job).await?;
        return Ok(Action::await_change());
    }
    if let Some(whose) = duplicate::belongs(&job, dereference::job_id(&job)?, shared) {
        duplicate::refuse(&api, &job, &whose, &context).await?;
        return Ok(Action::await_change());
    }
    if job.metadata.deletion_timestamp.is_none() {
        // Before anything outside is touched. Orders come with it; a job written by hand gets it here.
        status_writer::set_finalizer(&api, &job, JOB_FINALIZER, true).await?;
    }

    let facts = dereference::dereference(&job, &context).await?;
    if facts.chain_is_seen() {
        // What was expected before goes on while the chain can't be seen.
        shared.attestations.expect(expectation::expected(&facts, job_ref(&job)));
    }
    let seen = dereference::hear_last_words(facts, &shared.attestations).await;
    let mut decision = decide::decide(&seen);
    if job.metadata.deletion_timestamp.is_some() && !seen.chain_is_seen() {
        abandon::advise(&mut decision.status.conditions, SETTLED);
    }
    abandon::warn_of(&job.metadata, &mut decision.status.conditions, SETTLED);

    let applied = apply::apply(&context, &seen, &decision).await;
    let written = status_writer::write_and_see(&api, &job, job.status.as_ref(), &decision.status).await?;
    context.memory.note_written(&job, written.as_ref().and_then(|metadata| metadata.resource_version.clone()));
    apply::tell(shared, &seen, &decision).await;
    applied?;
    if decision.done {
        finish(&context, &api, seen.id, &job).await?;
        if let Some(since) = decision.status.settled_at.as_ref().map(|at| at.0)
            && job.metadata.deletion_timestamp.is_none()
        {
            retire(&api, written.as_ref().unwrap_or(&job.metadata), since).await;
        }
    }
    Ok(Action::requeue(decision.again))
}

/// How many jobs there are in each phase.
pub(crate) fn phases(jobs: &[Arc<Packed>]) -> Vec<(&'static str, usize)> {
    let kinds = Phase::ALL.map(Some).into_iter().chain([None]);
    let count = |phase| jobs.iter().filter(|job| job.phase() == phase).count();
    kinds.map(|phase| (phase.map_or("Unreadable", Phase::word), count(phase))).collect()
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
    let same = fresh.filter(|fresh| fresh.metadata.uid == job.metadata.uid);
    Ok(same.map(migration::of_any_release))
}

/// The job is settled, or gone: what was kept of it is forgotten.
pub(crate) fn forget(memory: &JobMemory, backoffs: &Backoffs, attestations: Option<&Attestations>, job: &ComputeJob) {
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
    Some(job.status.as_ref()?.settled_at.as_ref()?.0)
}

/// Lets a settled job go: from then on it is not watched, and who deletes it waits for nobody. The sweep sees to what fails
/// here, and deletes the job once it was kept for long enough.
async fn retire(api: &Api<ComputeJob>, metadata: &ObjectMeta, since: Timestamp) {
    if let Err(error) = settled::let_go(api, metadata, since).await {
        tracing::warn!(job = metadata.name, namespace = metadata.namespace, %error, "a settled job can't be let go; it is later");
    }
}

async fn finish(context: &JobContext, api: &Api<ComputeJob>, id: JobId, job: &Arc<ComputeJob>) -> Result<(), Error> {
    context.shared.attestations.forget(&job_ref(job));
    context.memory.forget_job(id, job);
    if job.metadata.deletion_timestamp.is_some() {
        status_writer::set_finalizer(api, job, JOB_FINALIZER, false).await?;
    }
    Ok(())
}

/// What to do after a failed reconcile: try again, later each time; what was wrong is in the log and in the metrics.
#[expect(clippy::needless_pass_by_value, reason = "the signature that Controller::run takes")]
pub(crate) fn failed(packed: Arc<Packed>, error: &Error, context: Arc<JobContext>) -> Action {
    context.shared.metrics.errors(KIND).inc();
    tracing::warn!(job = %packed.name_any(), namespace = packed.namespace(), %error, "reconcile failed");
    Action::requeue(context.shared.backoffs.failed(KIND, name_of(&*packed)))
}

fn job_ref(job: &ComputeJob) -> JobRef {
    JobRef { namespace: job.namespace().unwrap_or_default(), name: job.name_any() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_settled_or_cant_be_read_takes_no_slot_of_a_job_that_runs() {
        let since = |field: &str| json!({field: "2026-01-01T00:00:00Z"});
        let source = json!({"network": "n", "jobId": format!("0x{}", "07".repeat(32)), "customer": "0x", "seconds": 1,
            "deposit": "1", "price": "1", "block": 1});
        let live = |network: Option<&str>, new| Lane::Live { network: network.map(str::to_owned), new };
        for (source, gpus, status, expected) in [
            (json!(null), json!(1), json!({}), live(None, true)),
            (json!(null), json!(1), since("acceptedAt"), live(None, false)),
            (source.clone(), json!(1), json!({}), live(Some("n"), true)),
            (source.clone(), json!(1), since("acceptedAt"), live(Some("n"), false)),
            (source.clone(), json!(1), since("settledAt"), Lane::Rest),
            (json!(null), json!(1), since("settledAt"), Lane::Rest),
            (source, json!("many"), since("acceptedAt"), Lane::Rest),
        ] {
            let job = json!({
                "apiVersion": "hawser.dev/v1alpha1", "kind": "ComputeJob", "metadata": {"name": "j"},
                "spec": {"offerRef": "o", "workload": {"image": "i", "gpus": gpus}, "source": source},
                "status": status
            });
            assert_eq!(lane(&Packed::new(&serde_json::from_value(job.clone()).unwrap())), expected, "{job}");
        }
    }

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
        for (index, phase) in Phase::ALL.into_iter().enumerate() {
            let counts = phases(&[in_phase(phase), in_phase(phase), job(json!({"spec": {}}))]);
            assert_eq!(counts[index], (format!("{phase:?}").as_str(), 2));
            assert_eq!(counts.last(), Some(&("Unreadable", 1)));
            assert_eq!(counts.iter().map(|(_, jobs)| jobs).sum::<usize>(), 3, "{counts:?}");
        }
        assert_eq!(phases(&[job(json!({}))])[0], ("Pending", 1), "it has no status yet");
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
