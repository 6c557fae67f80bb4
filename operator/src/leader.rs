//! The label by which the Service `hawser-attestation` finds the replica that leads.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, Patch, PatchParams};
use kube::{Client, ResourceExt};
use serde_json::json;
use tracing::{info, warn};

/// On the pod that leads, and on no other.
pub const LABEL: &str = "hawser.dev/leader";
/// How often it is looked at: somebody may have taken it away.
const LOOK: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_millis(500);

/// Marks this replica's pod, and takes the mark from others, for as long as it is polled.
pub async fn keep_marked(client: Client, namespace: &str, me: &str) {
    let pods: Api<Pod> = Api::namespaced(client, namespace);
    let mut said = false;
    loop {
        let pause = match mark(&pods, me).await {
            Ok(()) => LOOK,
            Err(error) => {
                if !std::mem::replace(&mut said, true) {
                    warn!(%error, pod = me, "the leader's pod can't be marked, so the Service does not lead to it");
                }
                AGAIN
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// Others first: an address that nobody serves is better than one that the wrong one serves.
async fn mark(pods: &Api<Pod>, me: &str) -> Result<(), kube::Error> {
    let marked = pods.list(&ListParams::default().labels(&format!("{LABEL}=true"))).await?;
    for pod in marked.iter().map(ResourceExt::name_any).filter(|pod| pod != me) {
        set(pods, &pod, None).await?;
        info!(pod, "was marked as the leader's pod and is not any more");
    }
    if marked.iter().any(|pod| pod.name_any() == me) {
        return Ok(());
    }
    set(pods, me, Some("true")).await
}

/// Takes the mark from this replica's own pod: it may have led before its process was started again.
pub async fn unmark(client: Client, namespace: &str, me: &str) -> Result<(), kube::Error> {
    match set(&Api::namespaced(client, namespace), me, None).await {
        // This process is in no pod.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other,
    }
}

async fn set(pods: &Api<Pod>, pod: &str, value: Option<&str>) -> Result<(), kube::Error> {
    let body = json!({"metadata": {"labels": {LABEL: value}}});
    pods.patch(pod, &PatchParams::default(), &Patch::Merge(&body)).await.map(drop)
}
