//! Clears away what outlived its job: the pod of a job that is settled, which would hold its node's disk, and a pod whose
//! `ComputeJob` is gone though its finalizer should have kept it. Such a pod holds the only copy of its job's last voucher:
//! that is claimed and the job closed, or its loss is said, and then the pod can go.

mod orphan;

use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, TryStreamExt};
use hawser_crds::ComputeJob;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams, Preconditions};
use kube::core::PartialObjectMeta;
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::build::{JOB_LABEL, POD_FINALIZER};
use super::settled_since;
use crate::controllers::lean::{Lean, list_metadata};
use crate::controllers::work::mark;
use crate::controllers::{Context, Error, Tried};

/// So long a settled job's pod is kept for its log and for `kubectl describe`.
pub(super) const POD_KEPT: Duration = Duration::from_mins(10);
/// So long after that the job's own look sees to its pod; what was missed then, this does.
pub(super) const OWN_LOOK: Duration = Duration::from_mins(5);
/// How often everything is looked through.
const EVERY: Duration = Duration::from_mins(10);
/// While a pod without a job is there.
const SOON: Duration = Duration::from_secs(10);
/// After the start, when everybody else lists.
const FIRST: Duration = Duration::from_mins(1);
/// Objects a page.
const PAGE: u32 = 500;

/// Whose a pod is.
type Owner = (String, String, String);

/// Sweeps now and then until `cancel`.
pub(crate) async fn run(context: &Arc<Context>, cancel: CancellationToken) {
    let mut wait = FIRST;
    while cancel.run_until_cancelled(tokio::time::sleep(wait)).await.is_some() {
        let swept = cancel.run_until_cancelled(Box::pin(sweep(context))).await;
        wait = match swept {
            None => return,
            Some(Ok(0)) => EVERY,
            Some(Ok(_)) => SOON,
            Some(Err(error)) => {
                warn!(%error, "pods without a job can't be looked for; they are later");
                EVERY
            }
        };
    }
}

/// Looks through all pods of jobs; gives how many are left that have no job. There may be tens of thousands of both, so
/// that they are read page by page, and of a job nothing is kept but its mark.
async fn sweep(context: &Context) -> Result<usize, Error> {
    let of_jobs = ListParams::default().labels(JOB_LABEL);
    let any = list_metadata::<Pod>(&context.client, &of_jobs.clone().limit(1)).await;
    if any.tried(|| "list pods".to_owned())?.items.is_empty() {
        return Ok(0);
    }
    // Jobs first: a pod whose job is made meanwhile is asked about once more.
    let mut jobs = HashSet::new();
    let mut all = pin!(list::<ComputeJob>(&context.client, ListParams::default()));
    while let Some(job) = all.try_next().await? {
        jobs.extend(job.metadata.uid.as_deref().map(mark));
    }
    let (mut pods, mut left) = (pin!(list::<Pod>(&context.client, of_jobs)), 0);
    while let Some(pod) = pods.try_next().await? {
        let Some(owner) = owner(&pod) else { continue };
        let known = jobs.contains(&mark(&owner.2));
        if known && (is_deleted(&pod) || pod.finalizers().iter().any(|f| f == POD_FINALIZER)) {
            continue;
        }
        match job(context, &owner).await? {
            Some(job) => {
                if settled_since(&job).is_some_and(|since| is_past(since, Timestamp::now())) {
                    delete(context, &pod).await?;
                }
            }
            None => left += usize::from(!orphan::attend(context, &pod).await?),
        }
    }
    Ok(left)
}

/// Deletes the pod of a job that was settled a while ago.
pub(super) async fn delete_pod_of(context: &Context, of: &ComputeJob) -> Result<(), Error> {
    let (Some(namespace), Some(name)) = (of.namespace(), of.status.as_ref().and_then(|s| s.pod.as_ref())) else {
        return Ok(());
    };
    let api: Api<Pod> = Api::namespaced(context.client.clone(), &namespace);
    let pod = api.get_metadata_opt(name).await.tried(|| format!("pod {name}"))?;
    match pod.filter(|pod| owner(pod).is_some_and(|owner| Some(owner.2) == of.uid())) {
        Some(pod) if !is_deleted(&pod) => delete(context, &pod).await,
        _ => Ok(()),
    }
}

/// A settled job's pod has been kept for long enough.
fn is_past(settled: Timestamp, now: Timestamp) -> bool {
    now.duration_since(settled) >= SignedDuration::try_from(POD_KEPT).unwrap_or(SignedDuration::MAX)
}

fn is_deleted<P: ResourceExt>(pod: &P) -> bool {
    pod.meta().deletion_timestamp.is_some()
}

/// Namespace, name and uid of the job that a pod was made for; none where it was not made by this operator.
fn owner<P: ResourceExt>(pod: &P) -> Option<Owner> {
    let kind = ComputeJob::kind(&());
    let owner = pod.owner_references().iter().find(|owner| owner.kind == kind && owner.controller == Some(true))?;
    Some((pod.namespace()?, owner.name.clone(), owner.uid.clone()))
}

/// A pod's job, asked of the API server itself.
async fn job(context: &Context, (namespace, name, uid): &Owner) -> Result<Option<ComputeJob>, Error> {
    let api: Api<ComputeJob> = Api::namespaced(context.client.clone(), namespace);
    let job = api.get_opt(name).await.tried(|| format!("ComputeJob {namespace}/{name}"))?;
    Ok(job.filter(|job| job.uid().as_ref() == Some(uid)))
}

async fn delete(context: &Context, pod: &PartialObjectMeta<Pod>) -> Result<(), Error> {
    let namespace = pod.namespace().ok_or(Error::Unnamed("namespace"))?;
    let api: Api<Pod> = Api::namespaced(context.client.clone(), &namespace);
    let params = DeleteParams {
        preconditions: Some(Preconditions { uid: pod.uid(), resource_version: None }),
        ..DeleteParams::default()
    };
    match api.delete(&pod.name_any(), &params).await {
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        other => other.map(drop).tried(|| format!("delete pod {}", pod.name_any())),
    }
}

/// All objects of a kind, as they come.
fn list<K>(
    client: &Client,
    params: ListParams,
) -> impl Stream<Item = Result<PartialObjectMeta<K>, Error>> + Send + use<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    let client = client.clone();
    let pages = futures::stream::try_unfold(Some(params.limit(PAGE)), move |next| {
        let client = client.clone();
        async move {
            let Some(params) = next else { return Ok(None) };
            let what = || format!("list {}", K::plural(&()));
            let page = list_metadata::<K>(&client, &params).await.tried(what)?;
            let next = page.metadata.continue_.filter(|token| !token.is_empty());
            Ok::<_, Error>(Some((page.items, next.map(|token| params.continue_token(&token)))))
        }
    });
    pages.map_ok(|items| futures::stream::iter(items.into_iter().map(|Lean(item)| Ok::<_, Error>(item)))).try_flatten()
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::http::Uri;
    use kube::Config;
    use serde_json::json;

    use super::*;

    /// An API server with two pages of pods.
    async fn page(asked: Uri) -> String {
        let query = asked.query().unwrap_or_default();
        assert!(query.contains("limit=500"), "no list is read at once: {query}");
        let (name, next) = if query.contains("continue=more") { ("second", None) } else { ("first", Some("more")) };
        let metadata = json!({"name": name, "uid": name, "finalizers": ["f"], "managedFields": [{"manager": "m"}]});
        let pod = json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": metadata});
        json!({"metadata": {"continue": next}, "items": [pod]}).to_string()
    }

    #[tokio::test]
    async fn lists_are_read_page_by_page_without_what_others_wrote_for_themselves() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, Router::new().fallback(page)).await });
        let client = Client::try_from(Config::new(url.parse().unwrap())).unwrap();
        let pods: Vec<_> = list::<Pod>(&client, ListParams::default()).try_collect().await.unwrap();
        let read: Vec<_> =
            pods.iter().map(|pod| (pod.name_any(), pod.finalizers().len(), pod.managed_fields().len())).collect();
        assert_eq!(read, [("first".to_owned(), 1, 0), ("second".to_owned(), 1, 0)]);
        server.abort();
    }

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
        assert!(!is_past(at(1000), at(1599)));
        assert!(is_past(at(1000), at(1600)));
        assert!(!is_past(at(1000), at(10)), "the clock was set back");
    }
}
