//! Settled jobs, by lists of their metadata: nobody watches them. They are deleted once they were kept for long enough, and
//! those that are not as this operator leaves them are brought to that: an earlier release left its finalizer on them, and
//! a phase that somebody's hand wrote is taken back.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use hawser_crds::{ComputeJob, Phase};
use jiff::Timestamp;
use kube::api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, Preconditions};
use kube::core::PartialObjectMeta;
use kube::{Api, Resource, ResourceExt};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::list;
use crate::controllers::settled::{self, SettledStep};
use crate::controllers::{Error, Shared, Tried};
use crate::reasons::Reason;

/// How often all of them are listed, at most.
const EVERY: Duration = Duration::from_mins(10);
const LEAST: Duration = Duration::from_secs(10);
/// After the start, when everybody else lists.
const FIRST: Duration = Duration::from_secs(45);
/// Between two that are looked at: there may be tens of thousands after an upgrade, and nobody waits for it.
const PACE: Duration = Duration::from_millis(40);

pub(super) async fn run(shared: &Arc<Shared>, cancel: CancellationToken) {
    let keep = Duration::from_secs(shared.config.job_retention_seconds);
    let every = EVERY.min(keep).max(LEAST);
    let mut wait = FIRST.min(every);
    while cancel.run_until_cancelled(tokio::time::sleep(wait)).await.is_some() {
        match cancel.run_until_cancelled(Box::pin(sweep(shared, keep))).await {
            None => return,
            Some(Ok(())) => {}
            Some(Err(error)) => warn!(%error, "settled jobs can't be listed; they are later"),
        }
        wait = every;
    }
}

/// Lists all jobs, page by page, and looks at those that nobody watches and of which the metadata says so.
async fn sweep(shared: &Shared, keep: Duration) -> Result<(), Error> {
    let mut all = pin!(list::<ComputeJob>(&shared.client));
    while let Some(job) = all.try_next().await? {
        if is_watched(shared, &job) || !settled::is_to_be_seen(&job, keep, Timestamp::now()) {
            continue;
        }
        if let Err(error) = reconcile(shared, &job, keep).await {
            warn!(job = job.name_any(), namespace = job.namespace(), %error, "a settled job can't be seen to; it is later");
        }
        tokio::time::sleep(PACE).await;
    }
    Ok(())
}

fn is_watched(shared: &Shared, job: &PartialObjectMeta<ComputeJob>) -> bool {
    let watched = shared.job(&job.namespace().unwrap_or_default(), &job.name_any());
    watched.is_some_and(|watched| watched.meta().uid == job.metadata.uid)
}

/// Takes the next step with one, as the API server has it now.
async fn reconcile(shared: &Shared, seen: &PartialObjectMeta<ComputeJob>, keep: Duration) -> Result<(), Error> {
    let (namespace, name) = (seen.namespace().ok_or(Error::Unnamed("namespace"))?, seen.name_any());
    let kind = ApiResource::erase::<ComputeJob>(&());
    // Without a type: it may be one that this operator can't read.
    let api: Api<DynamicObject> = Api::namespaced_with(shared.client.clone(), &namespace, &kind);
    let what = || format!("ComputeJob {namespace}/{name}");
    let Some(job) = api.get_opt(&name).await.tried(what)?.filter(|job| job.uid() == seen.uid()) else { return Ok(()) };
    if !settled::is_of_their_phase(&job.data) {
        // It was taken back, and is watched.
        return Ok(());
    }
    match settled::step(&job.metadata, settled::since(&job.data), keep, Timestamp::now()) {
        SettledStep::LetGo(since) => settled::let_go(&api, &job.metadata, since).await,
        SettledStep::Delete(since) => {
            settled::let_go(&api, &job.metadata, since).await?;
            let uid = Some(Preconditions { uid: job.uid(), resource_version: None });
            let params = DeleteParams { preconditions: uid, ..DeleteParams::default() };
            match api.delete(&name, &params).await {
                Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
                other => other.map(drop).tried(|| format!("delete {}", what())),
            }
        }
        SettledStep::Wake => {
            let phase = json!({"metadata": {"uid": job.uid()}, "status": {"phase": Phase::Pending}});
            api.patch_status(&name, &PatchParams::default(), &Patch::Merge(&phase)).await.tried(what)?;
            let note = "status.phase says that the job is settled and status.settledAt does not: the phase is taken \
                        back, and the job is looked at";
            shared.events.emit(&job.object_ref(&kind), true, &Reason::NotSettled, "Sweep", note).await;
            Ok(())
        }
    }
}
