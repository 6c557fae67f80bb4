//! A job that is settled, or gone: nothing holds it any more, and nothing is remembered of it.

use std::sync::Arc;

use hawser_crds::ComputeJob;
use jiff::Timestamp;
use kube::Api;
use kube::api::ObjectMeta;

use super::KIND;
use super::members::job_ref;
use super::memory::{JobContext, JobMemory};
use crate::attestation::Attestations;
use crate::controllers::watch::name_of;
use crate::controllers::work::Backoffs;
use crate::controllers::{Error, JOB_FINALIZER, settled, status_writer};

/// Everything is settled: chain and pod need not be looked at.
pub(super) fn settled_since(job: &ComputeJob) -> Option<Timestamp> {
    Some(job.status.as_ref()?.settled_at.as_ref()?.0)
}

/// Lets a settled job go: from then on it is not watched, and who deletes it waits for nobody. The sweep sees to what fails
/// here, and deletes the job once it was kept for long enough.
pub(super) async fn retire(api: &Api<ComputeJob>, metadata: &ObjectMeta, since: Timestamp) {
    if let Err(error) = settled::let_go(api, metadata, since).await {
        tracing::warn!(job = metadata.name, namespace = metadata.namespace, %error, "a settled job can't be let go; it is later");
    }
}

/// Forgets it, and lets it go if it is being deleted.
pub(super) async fn finish(context: &JobContext, api: &Api<ComputeJob>, job: &Arc<ComputeJob>) -> Result<(), Error> {
    context.shared.attestations.forget(&job_ref(job));
    context.memory.forget_job(job);
    if job.metadata.deletion_timestamp.is_some() {
        status_writer::set_finalizer(api, job, JOB_FINALIZER, false).await?;
    }
    Ok(())
}

/// The job is settled, or gone: what was kept of it is forgotten.
pub(crate) fn forget(memory: &JobMemory, backoffs: &Backoffs, attestations: Option<&Attestations>, job: &ComputeJob) {
    backoffs.forget(KIND, name_of(job));
    if let Some(attestations) = attestations {
        attestations.forget(&job_ref(job));
    }
    memory.forget_job(job);
}
