//! One order's life: from a `ComputeJob` to its pod, to what the pod used, to the last unit paid or given back.
//!
//! A look: `freshness` (is it the newest?) -> `dereference` (what is) -> `observe` (and for how long) -> `expectation` (what
//! the attestation service is told) and `termination` (what a meter left) -> `decide` with `outcome` and `status` (pure) ->
//! `apply` (the pod, by `manifests`, and actions on chain), `status_writer`, `retire`. Beside it, `sweep` clears away what
//! outlived its job.

mod accounts;
mod apply;
mod decide;
mod dereference;
mod duplicate;
mod ended;
mod expectation;
mod freshness;
mod kind;
mod lasting;
mod manifests;
mod member;
mod members;
pub(crate) mod memory;
mod observation;
mod observe;
mod outcome;
mod policy;
mod pull;
mod rehearse;
mod retire;
mod status;
mod steady;
mod surround;
pub(crate) mod sweep;
mod termination;
mod voucher;
mod written;

use std::sync::Arc;
use std::time::Duration;

use hawser_crds::ComputeJob;
use hawser_crds::condition::SETTLED;
use kube::{Api, Resource, ResourceExt};

use super::look::Action;
use super::packed::Packed;
use super::watch::name_of;
use super::{Error, JOB_FINALIZER, abandon, allocation, status_writer, unreadable};
pub(crate) use ended::on_chain;
use freshness::{Fresh, fresh};
pub(crate) use kind::{KIND, lane, phases, span};
pub(crate) use manifests::{CanaryInput, POD_FINALIZER, SERVICE_ACCOUNT, UNDER_ANNOTATION, canary, canary_name};
use members::job_ref;
use memory::JobContext;
use observation::JobObservation;
pub(crate) use observation::PodRefused;
pub(crate) use policy::stored;
pub(crate) use rehearse::{NotTaken, rehearse};
pub(crate) use retire::forget;
use retire::{finish, retire, settled_since};
pub(crate) use surround::{attestation_address, put_ca, surround};

/// When a settled job that is watched nevertheless is looked at again: its phase is not that of a settled one.
const UNWATCHED: Duration = Duration::from_mins(10);

/// Looks at a job and takes its next step.
pub(crate) async fn reconcile(packed: Arc<Packed>, context: Arc<JobContext>) -> Result<Action, Error> {
    let shared = &*context.shared;
    shared.metrics.reconciles(KIND).inc();
    shared.ready().await?;
    let (_busy, _timed) = (shared.work.begin(KIND), shared.metrics.timed(KIND));
    let job = match packed.job().0 {
        Ok(job) => job,
        Err(invalid) => return unreadable::job(&invalid, shared).await,
    };
    drop(packed);
    unreadable::note_readable(&job.metadata, shared);
    let namespace = job.namespace().ok_or(Error::Unnamed("namespace"))?;
    let api: Api<ComputeJob> = Api::namespaced(shared.client.clone(), &namespace);
    let behind = context.memory.behind(&job);
    let job = match fresh(job, behind, &api).await? {
        Fresh::Job(job) => job,
        Fresh::Gone => return Ok(Action::await_change()),
        Fresh::Later(wait) => return Ok(Action::requeue(wait)),
    };
    if let Some(done) = conclude_early(&job, &api, &context).await? {
        return Ok(done);
    }
    if job.metadata.deletion_timestamp.is_none() {
        // Before anything outside is touched. Orders come with it; a job written by hand gets it here.
        status_writer::set_finalizer(&api, &job, JOB_FINALIZER, true).await?;
    }

    let seen = look(&job, &context).await?;
    let mut decision = decide::decide(&seen);
    if job.metadata.deletion_timestamp.is_some() && !seen.chain_is_seen() {
        abandon::advise(&mut decision.status.conditions, SETTLED);
    }
    abandon::warn_of(&job.metadata, &mut decision.status.conditions, SETTLED);

    let applied = apply::apply(&context, &seen, &decision).await;
    let written = status_writer::write_and_see(&api, &job, job.status.as_ref(), &decision.status).await?;
    context.memory.note_written(&job, written.as_ref().and_then(|metadata| metadata.resource_version.clone()));
    apply::announce(shared, &seen, &decision).await;
    applied?;
    if decision.done {
        finish(&context, &api, &job).await?;
        if let Some(since) = decision.status.settled_at.as_ref().map(|at| at.0)
            && job.metadata.deletion_timestamp.is_none()
        {
            retire(&api, written.as_ref().unwrap_or(&job.metadata), since).await;
        }
    }
    Ok(Action::requeue(decision.again))
}

/// Does what there is to do with a job for which nothing is to be decided: it is settled, given up, or another one has its
/// order. None for any other.
async fn conclude_early(
    job: &Arc<ComputeJob>,
    api: &Api<ComputeJob>,
    context: &JobContext,
) -> Result<Option<Action>, Error> {
    let shared = &*context.shared;
    if let Some(since) = settled_since(job) {
        if job.metadata.deletion_timestamp.is_none() {
            retire(api, &job.metadata, since).await;
            return Ok(Some(Action::requeue(UNWATCHED)));
        }
        // Whatever the chain says of its order now is not this job's any more.
        finish(context, api, job).await?;
        return Ok(Some(Action::await_change()));
    }
    if abandon::is_asked(&job.metadata) {
        abandon::write_down(shared, "ComputeJob", &job.object_ref(&()), &abandon::of_job(job)).await;
        abandon::drop_pods(shared, &job.metadata, members::names(job)).await?;
        finish(context, api, job).await?;
        return Ok(Some(Action::await_change()));
    }
    if let Some(whose) = duplicate::belongs(job, shared) {
        duplicate::refuse(api, job, &whose, context).await?;
        return Ok(Some(Action::await_change()));
    }
    Ok(None)
}

/// Everything that is seen of a job, and for how long it has been so. Its GPUs are reserved, the attestation service is told
/// what to expect, and what its meter left is read.
async fn look(job: &Arc<ComputeJob>, context: &JobContext) -> Result<JobObservation, Error> {
    let (shared, id) = (&*context.shared, dereference::job_id(job));
    context.memory.note_order(job);
    let network = dereference::network(job, &shared.networks);
    let market = dereference::market(job.spec.source.as_ref(), network.as_deref(), &id).await;
    let chain = observe::chain(&name_of(&**job), market, observe::was_started(job), &context.memory);
    let mut seen = dereference::dereference(job, (id, network.as_deref()), chain, shared).await?;
    if let Some(offer) = &seen.offer {
        seen.allocation = allocation::reserve(job, offer, shared);
    }
    observe::note(&mut seen, &context.memory);
    // What was expected before goes on while the chain can't be seen.
    if seen.chain_is_seen()
        && let Some(expected) = expectation::expected(&seen, job_ref(job))
    {
        shared.attestations.expect(expected);
    }
    termination::read_message(&mut seen, &shared.attestations).await;
    Ok(seen)
}
