//! Nodes whose GPUs claims hand out too, before an API server that keeps such claims.

use anyhow::{Context, Result, ensure};
use hawser_crds::GpuOffer;
use hawser_e2e::wait;
use k8s_openapi::api::resource::v1::ResourceSlice;
use kube::api::{Api, DeleteParams, PostParams};
use serde_json::json;

use crate::admission::{node, offer};
use crate::replica::Replica;
use crate::testbed::{OFFERS, START, SYSTEM, Testbed};

#[tokio::test]
async fn an_offer_sells_no_card_that_claims_hand_out_too() -> Result<()> {
    let testbed = Testbed::new().await?;
    node(&testbed).await?;
    let slices: Api<ResourceSlice> = Api::all(testbed.client.clone());
    // Compute domains hand out no cards.
    slice(&slices, "compute-domain.nvidia.com").await?;
    offer(&testbed, OFFERS).await?;
    let mut replica = Replica::start(&testbed.plane, SYSTEM, "one", testbed.plane.address())?;
    replica.says("leading", START).await?;
    sells(&testbed, 2, "no GPU can be sold, of two").await.with_context(|| replica.tail())?;

    slice(&slices, "gpu.nvidia.com").await?;
    let why = sells(&testbed, 0, "GPUs are sold that claims hand out").await.with_context(|| replica.tail())?;
    ensure!(why.contains("node node (2 GPUs)") && why.contains("ResourceClaims"), "{why}");

    slices.delete("gpu.nvidia.com", &DeleteParams::default()).await?;
    sells(&testbed, 2, "no GPU can be sold though claims hand out none").await.with_context(|| replica.tail())?;
    replica.stops(START).await?;
    Ok(())
}

/// What a driver of this name hands out of the node.
async fn slice(slices: &Api<ResourceSlice>, driver: &str) -> Result<()> {
    let slice = json!({
        "apiVersion": "resource.k8s.io/v1", "kind": "ResourceSlice", "metadata": {"name": driver},
        "spec": {
            "driver": driver, "nodeName": "node", "devices": [{"name": "gpu-0"}, {"name": "gpu-1"}],
            "pool": {"name": "node", "generation": 1, "resourceSliceCount": 1},
        },
    });
    slices.create(&PostParams::default(), &serde_json::from_value(slice)?).await?;
    Ok(())
}

/// Waits until this many of the node's GPUs can be sold; gives what is said of them.
async fn sells(testbed: &Testbed, healthy: u32, otherwise: &'static str) -> Result<String> {
    let offers: Api<GpuOffer> = Api::namespaced(testbed.client.clone(), OFFERS);
    wait::until("the offer counts its GPUs", START, async || {
        let status = offers.get("offer").await?.status.unwrap_or_default();
        let counted = status.gpus.is_some_and(|gpus| (gpus.total, gpus.healthy) == (2, healthy));
        let said = status.conditions.into_iter().find(|condition| condition.type_ == "CapacityAvailable");
        Ok(if counted { Ok(said.map(|condition| condition.message).unwrap_or_default()) } else { Err(otherwise) })
    })
    .await
}
