//! Offers in namespaces whose administrators bound what may be in them, before any order has come.

use anyhow::{Context, Result, ensure};
use hawser_crds::GpuOffer;
use hawser_e2e::wait;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Node, Pod, ResourceQuota, ServiceAccount};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::scheduling::v1::PriorityClass;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::replica::Replica;
use crate::testbed::{OFFERS, START, SYSTEM, Testbed};

const BOUND: &str = "bound";
const PRODUCT: &str = "fine";

#[tokio::test]
async fn an_offer_says_what_the_api_server_would_refuse_of_an_order_before_one_has_come() -> Result<()> {
    let testbed = Testbed::new().await?;
    let class = json!({"metadata": {"name": "hawser-job"}, "value": -1000, "preemptionPolicy": "Never"});
    let classes: Api<PriorityClass> = Api::all(testbed.client.clone());
    classes.create(&PostParams::default(), &serde_json::from_value(class)?).await?;
    node(&testbed).await?;
    testbed.namespace(BOUND).await?;
    quota(&testbed, BOUND, "0").await?;
    quota(&testbed, OFFERS, "1").await?;
    for namespace in [OFFERS, BOUND] {
        enforce(&testbed, namespace).await?;
        offer(&testbed, namespace).await?;
    }

    let mut replica = Replica::start(&testbed.plane, SYSTEM, "one", testbed.plane.address())?;
    replica.says("leading", START).await?;
    let told = wait::until("the offer's event quotes the quota", START, async || {
        let told = refusals(&testbed, BOUND).await?;
        Ok(if told.is_empty() { Err("no event") } else { Ok(told) })
    });
    let told = told.await.with_context(|| replica.tail())?;
    ensure!(told.len() == 1 && told[0].contains("exceeded quota"), "{told:?}");
    ensure!(told[0].contains("requests.nvidia.com/gpu=1"), "it says how much an order asks for: {told:?}");
    wait::until("the other offer was looked at, to its end", START, async || {
        let offers: Api<GpuOffer> = Api::namespaced(testbed.client.clone(), OFFERS);
        Ok(if offers.get("offer").await?.status.is_some() { Ok(()) } else { Err("no status") })
    })
    .await
    .with_context(|| replica.tail())?;
    let made: Api<ServiceAccount> = Api::namespaced(testbed.client.clone(), OFFERS);
    ensure!(made.get_opt("hawser-job").await?.is_some(), "without its account no pod would be taken");
    let offers: Api<GpuOffer> = Api::namespaced(testbed.client.clone(), OFFERS);
    offers.delete("offer", &DeleteParams::default()).await?;
    let cas: Api<ConfigMap> = Api::namespaced(testbed.client.clone(), OFFERS);
    wait::until("the account and the CA go with the namespace's last offer", START, async || {
        let stays =
            made.get_opt("hawser-job").await?.is_some() || cas.get_opt("hawser-attestation-ca").await?.is_some();
        Ok(if stays { Err("one of them stays") } else { Ok(()) })
    })
    .await
    .with_context(|| replica.tail())?;
    replica.stops(START).await?;
    let others = refusals(&testbed, OFFERS).await?;
    ensure!(others.is_empty(), "an order for one GPU fits into that quota: {others:?}");
    for namespace in [OFFERS, BOUND] {
        let pods: Api<Pod> = Api::namespaced(testbed.client.clone(), namespace);
        let made = pods.list(&ListParams::default()).await?;
        ensure!(made.iter().all(|pod| pod.metadata.name.as_deref() == Some("hawser-canary-offer")), "{made:?}");
    }
    Ok(())
}

/// Reasons and notes of warnings that an order's pod would be refused.
async fn refusals(testbed: &Testbed, namespace: &str) -> Result<Vec<String>> {
    let events: Api<Event> = Api::namespaced(testbed.client.clone(), namespace);
    let all = events.list(&ListParams::default()).await?;
    let refused = all.into_iter().filter(|event| event.reason.as_deref() == Some("PodRefused"));
    Ok(refused.filter_map(|event| event.note).collect())
}

/// Two GPUs.
pub(crate) async fn node(testbed: &Testbed) -> Result<()> {
    let nodes: Api<Node> = Api::all(testbed.client.clone());
    let amounts = json!({"cpu": "8", "memory": "64Gi", "pods": "10", "nvidia.com/gpu": "2"});
    let node = json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": "node", "labels": {"nvidia.com/gpu.product": PRODUCT}},
    });
    nodes.create(&PostParams::default(), &serde_json::from_value(node)?).await?;
    let status = json!({"status": {
        "capacity": amounts, "allocatable": amounts, "conditions": [{"type": "Ready", "status": "True"}],
    }});
    nodes.patch_status("node", &PatchParams::default(), &Patch::Merge(&status)).await?;
    // Nobody takes away what the API server puts on a new node.
    let untainted = json!({"spec": {"taints": Value::Null}});
    nodes.patch("node", &PatchParams::default(), &Patch::Merge(&untainted)).await?;
    Ok(())
}

/// A quota as it is once it was counted, which nobody does here.
async fn quota(testbed: &Testbed, namespace: &str, gpus: &str) -> Result<()> {
    let quotas: Api<ResourceQuota> = Api::namespaced(testbed.client.clone(), namespace);
    let hard = json!({"requests.nvidia.com/gpu": gpus});
    let quota = json!({"metadata": {"name": "bounds"}, "spec": {"hard": hard}});
    quotas.create(&PostParams::default(), &serde_json::from_value(quota)?).await?;
    let counted = json!({"status": {"hard": hard, "used": {"requests.nvidia.com/gpu": "0"}}});
    quotas.patch_status("bounds", &PatchParams::default(), &Patch::Merge(&counted)).await?;
    Ok(())
}

async fn enforce(testbed: &Testbed, namespace: &str) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(testbed.client.clone());
    let label = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}});
    namespaces.patch(namespace, &PatchParams::default(), &Patch::Merge(&label)).await?;
    Ok(())
}

pub(crate) async fn offer(testbed: &Testbed, namespace: &str) -> Result<()> {
    let offers: Api<GpuOffer> = Api::namespaced(testbed.client.clone(), namespace);
    let offer = json!({
        "apiVersion": "hawser.dev/v1alpha1", "kind": "GpuOffer", "metadata": {"name": "offer"},
        "spec": {
            "networkRef": "none",
            "gpu": {"product": PRODUCT},
            "price": {"perGpuHour": "1", "token": format!("0x{}", "11".repeat(20))},
        },
    });
    offers.patch("offer", &PatchParams::apply("tests").force(), &Patch::Apply(&offer)).await?;
    Ok(())
}
