//! The pod of a job that is settled, which would hold its node's disk, and a pod whose `ComputeJob` is gone though its
//! finalizer should have kept it. Such a pod holds the only copy of its job's last voucher: that is claimed and the job
//! closed, or its loss is said, and then the pod can go.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use hawser_crds::ComputeJob;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Preconditions};
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::{Api, Client, Resource, ResourceExt};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::orphan;
use crate::controllers::compute_job::manifests::JOB_LABEL;
use crate::controllers::compute_job::memory::JobContext;
use crate::controllers::compute_job::settled_since;
use crate::controllers::work::{Name, mark};
use crate::controllers::{Error, Tried, migration};

/// So long a settled job's pod is kept for its log and for `kubectl describe`.
const POD_KEPT: SignedDuration = SignedDuration::from_mins(10);
/// How often pods are looked through: those that the inventory knows, which costs nothing.
const EVERY: Duration = Duration::from_mins(1);
/// While a pod without a job is there.
const SOON: Duration = Duration::from_secs(10);
/// When a pod is asked about again whose job lives, though nobody watches it.
const LIVES: Duration = Duration::from_mins(10);

/// Whose a pod is.
type Owner = (String, String, String);

/// When pods are to be asked about, and not before.
type Waits = HashMap<Name, Instant>;

pub(super) async fn run(context: &Arc<JobContext>, cancel: CancellationToken) {
    let (mut waits, mut wait) = (Waits::new(), EVERY);
    while cancel.run_until_cancelled(tokio::time::sleep(wait)).await.is_some() {
        let swept = cancel.run_until_cancelled(Box::pin(sweep(context, &mut waits))).await;
        wait = match swept {
            None => return,
            Some(0) => EVERY,
            Some(_) => SOON,
        };
    }
}

/// Looks at the pods of jobs that are not watched; gives how many are left that have no job.
async fn sweep(context: &JobContext, waits: &mut Waits) -> usize {
    let jobs = context.shared.jobs.store.state();
    let live: HashSet<u64> = jobs.iter().filter_map(|job| job.meta().uid.as_deref().map(mark)).collect();
    drop(jobs);
    let pods: HashSet<Name> = context.shared.inventory.read(|inventory| {
        let owned =
            inventory.job_pods().filter(|(_, pod)| !pod.owners.iter().any(|uid| live.contains(&mark(uid.as_str()))));
        owned.map(|(name, _)| name.clone()).collect()
    });
    waits.retain(|name, _| pods.contains(name));
    let mut left = 0;
    for name in pods {
        if waits.get(&name).is_some_and(|until| Instant::now() < *until) {
            continue;
        }
        let wait = match reconcile(context, &name).await {
            Ok(Left::Waits(wait)) => wait,
            Ok(Left::Orphan) => {
                left += 1;
                continue;
            }
            Err(error) => {
                warn!(pod = name.1, namespace = name.0, %error, "whether a pod's job is there can't be found out; it is later");
                EVERY
            }
        };
        waits.insert(name, Instant::now() + wait);
    }
    left
}

/// What is left to be done about a pod.
enum Left {
    /// Nothing, for so long.
    Waits(Duration),
    /// It has no job, and something is owed for it.
    Orphan,
}

async fn reconcile(context: &JobContext, (namespace, name): &Name) -> Result<Left, Error> {
    let client = &context.shared.client;
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let pod = api.get_metadata_opt(name).await.tried(|| format!("pod {name}"))?;
    let ours = pod.and_then(|pod| Some((owner(&pod).filter(|_| pod.labels().contains_key(JOB_LABEL))?, pod)));
    let Some((owner, pod)) = ours else { return Ok(Left::Waits(LIVES)) };
    let Some(job) = job(client, &owner).await? else {
        let done = orphan::reconcile(context, &pod).await?;
        return Ok(if done { Left::Waits(EVERY) } else { Left::Orphan });
    };
    let since = job.0.ok().as_ref().and_then(settled_since);
    Ok(Left::Waits(match since.map(|since| rest(since, Timestamp::now())) {
        Some(Duration::ZERO) if !is_deleted(&pod) => {
            delete(client, &pod).await?;
            LIVES
        }
        Some(rest) if !rest.is_zero() => rest,
        _ => LIVES,
    }))
}

/// How long a pod is kept still whose job was settled then.
fn rest(settled: Timestamp, now: Timestamp) -> Duration {
    let over = settled.checked_add(POD_KEPT).unwrap_or(Timestamp::MAX);
    Duration::try_from(over.duration_since(now)).unwrap_or_default()
}

pub(super) fn is_deleted<P: ResourceExt>(pod: &P) -> bool {
    pod.meta().deletion_timestamp.is_some()
}

/// Namespace, name and uid of the job that a pod was made for; none where it was not made by this operator.
fn owner<P: ResourceExt>(pod: &P) -> Option<Owner> {
    let kind = ComputeJob::kind(&());
    let owner = pod.owner_references().iter().find(|owner| owner.kind == kind && owner.controller == Some(true))?;
    Some((pod.namespace()?, owner.name.clone(), owner.uid.clone()))
}

/// A pod's job, asked of the API server itself.
async fn job(client: &Client, (namespace, name, uid): &Owner) -> Result<Option<DeserializeGuard<ComputeJob>>, Error> {
    let api: Api<DeserializeGuard<ComputeJob>> = Api::namespaced(client.clone(), namespace);
    let job = api.get_opt(name).await.tried(|| format!("ComputeJob {namespace}/{name}"))?;
    let same = job.filter(|job| job.meta().uid.as_ref() == Some(uid));
    Ok(same.map(|DeserializeGuard(job)| DeserializeGuard(job.map(migration::of_any_release))))
}

pub(super) async fn delete(client: &Client, pod: &PartialObjectMeta<Pod>) -> Result<(), Error> {
    let namespace = pod.namespace().ok_or(Error::Unnamed("namespace"))?;
    let api: Api<Pod> = Api::namespaced(client.clone(), &namespace);
    let params = DeleteParams {
        preconditions: Some(Preconditions { uid: pod.uid(), resource_version: None }),
        ..DeleteParams::default()
    };
    match api.delete(&pod.name_any(), &params).await {
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        other => other.map(drop).tried(|| format!("delete pod {}", pod.name_any())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_is_its_jobs_by_the_owner_that_made_it() {
        let of = |owners: serde_json::Value| {
            let metadata = json!({"name": "p", "namespace": "t", "ownerReferences": owners});
            let pod: Pod = serde_json::from_value(json!({"metadata": metadata})).unwrap();
            owner(&pod)
        };
        let reference = |kind: &str, controller: bool| json!([{"apiVersion": "hawser.dev/v1alpha1", "kind": kind, "name": "j", "uid": "u", "controller": controller}]);
        let job = ("t".to_owned(), "j".to_owned(), "u".to_owned());
        assert_eq!(of(reference("ComputeJob", true)), Some(job));
        assert_eq!(of(reference("ComputeJob", false)), None, "somebody's note");
        assert_eq!(of(reference("ReplicaSet", true)), None, "the label alone makes no pod ours");
        assert_eq!(of(json!([])), None);
    }

    #[test]
    fn a_settled_jobs_pod_is_kept_for_ten_minutes() {
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(rest(at(1000), at(1599)), Duration::from_secs(1));
        assert_eq!(rest(at(1000), at(1600)), Duration::ZERO);
        assert_eq!(rest(at(1000), at(9000)), Duration::ZERO);
        assert_eq!(rest(at(1000), at(10)), Duration::from_secs(1590), "the clock was set back");
    }
}
