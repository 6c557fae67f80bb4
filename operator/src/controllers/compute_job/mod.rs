//! One order's life: from a `ComputeJob` to its pod, to what the pod used, to the last unit paid or given back.

mod apply;
mod build;
mod decide;
mod dereference;
mod expectation;
mod observed;
mod outcome;
mod pod_state;
mod policy;
mod quantity;
mod report;
pub(crate) mod vacancy;
mod voucher;

use std::sync::Arc;
use std::time::Duration;

use hawser_crds::ComputeJob;
use hawser_crds::condition::SETTLED;
use kube::core::DeserializeGuard;
use kube::runtime::controller::Action;
use kube::{Api, ResourceExt};

use super::conditions::is_true;
use super::{Context, Error, JOB_FINALIZER, status};
use crate::attestation::JobRef;

/// Looks at a job and takes its next step.
pub(crate) async fn reconcile(
    guarded: Arc<DeserializeGuard<ComputeJob>>,
    context: Arc<Context>,
) -> Result<Action, Error> {
    context.metrics.reconciles("ComputeJob").inc();
    context.ready().await?;
    let Ok(job) = &guarded.0 else { return Ok(Action::await_change()) };
    let job = Arc::new(job.clone());
    let namespace = job.namespace().ok_or(Error::Unnamed("namespace"))?;
    let api: Api<ComputeJob> = Api::namespaced(context.client.clone(), &namespace);
    if is_at_rest(&job) {
        return Ok(Action::await_change());
    }
    if job.metadata.deletion_timestamp.is_none() {
        // Before anything outside is touched. Orders come with it; a job written by hand gets it here.
        status::set_finalizer(&api, &job, JOB_FINALIZER, true).await?;
    }

    let facts = dereference::dereference(&job, &context).await?;
    context.attestations.expect(expectation::expected(&facts, job_ref(&job)));
    let seen = dereference::hear_last_words(facts, &context).await?;
    let decision = decide::decide(&seen);

    apply::apply(&context, &seen, &decision).await?;
    status::write(&api, &job, job.status.as_ref(), &decision.status).await?;
    apply::tell(&context, &seen, &decision).await;
    if decision.done {
        finish(&context, &api, &seen, &job).await?;
    }
    Ok(Action::requeue(decision.again))
}

/// Everything is settled and nobody wants anything of it: chain and pod need not be looked at.
fn is_at_rest(job: &ComputeJob) -> bool {
    let settled = job.status.as_ref().is_some_and(|s| is_true(&s.conditions, SETTLED));
    settled && job.metadata.deletion_timestamp.is_none()
}

async fn finish(
    context: &Context,
    api: &Api<ComputeJob>,
    seen: &observed::Observed,
    job: &Arc<ComputeJob>,
) -> Result<(), Error> {
    context.attestations.forget(&job_ref(job));
    context.memory.forget_job(seen.id);
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
