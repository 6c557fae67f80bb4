//! One order's life: from a `ComputeJob` to its pod, to what the pod used, to the last unit paid or given back.

mod apply;
mod build;
mod decide;
mod dereference;
mod expectation;
mod lasting;
mod observed;
mod outcome;
mod pod_state;
mod policy;
mod pull;
mod report;
mod steady;
pub(crate) mod sweep;
pub(crate) mod vacancy;
mod voucher;

use std::sync::Arc;
use std::time::Duration;

use hawser_contracts::JobId;
use hawser_crds::ComputeJob;
use hawser_crds::condition::SETTLED;
use jiff::Timestamp;
use kube::core::DeserializeGuard;
use kube::runtime::controller::Action;
use kube::{Api, Resource, ResourceExt};

use super::conditions::find;
use super::{Context, Error, JOB_FINALIZER, abandon, status, unreadable};
use crate::attestation::JobRef;
pub(crate) use build::POD_FINALIZER;
pub(crate) use lasting::Timers;
pub(crate) use observed::PodRefused;
pub(crate) use outcome::REORGED;

/// While the cache does not show yet what this operator wrote last: a look at what was before would undo it.
const CATCH_UP: Duration = Duration::from_millis(50);

/// Looks at a job and takes its next step.
pub(crate) async fn reconcile(
    guarded: Arc<DeserializeGuard<ComputeJob>>,
    context: Arc<Context>,
) -> Result<Action, Error> {
    context.metrics.reconciles("ComputeJob").inc();
    context.ready().await?;
    let job = match &guarded.0 {
        Ok(job) => Arc::new(job.clone()),
        Err(invalid) => return unreadable::job(invalid, &context).await,
    };
    unreadable::was_read(&job.metadata, &context);
    let namespace = job.namespace().ok_or(Error::Unnamed("namespace"))?;
    let api: Api<ComputeJob> = Api::namespaced(context.client.clone(), &namespace);
    if context.memory.is_behind(&job) {
        return Ok(Action::requeue(CATCH_UP));
    }
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
    if let Some(left) = keep.checked_sub(kept).filter(|left| !left.is_zero()) {
        return Ok(Action::requeue(if pod_left.is_zero() { left } else { left.min(pod_left) }));
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

/// What to do after a failed reconcile: try again soon; what was wrong is in the log and in the metrics.
#[expect(clippy::needless_pass_by_value, reason = "the signature that Controller::run takes")]
pub(crate) fn failed(guarded: Arc<DeserializeGuard<ComputeJob>>, error: &Error, context: Arc<Context>) -> Action {
    context.metrics.errors("ComputeJob").inc();
    tracing::warn!(job = %guarded.name_any(), namespace = guarded.namespace(), %error, "reconcile failed");
    Action::requeue(Duration::from_secs(5))
}

fn job_ref(job: &ComputeJob) -> JobRef {
    JobRef { namespace: job.namespace().unwrap_or_default(), name: job.name_any() }
}
