use anyhow::{Context, Result, ensure};
use hawser_crds::{DepinNetwork, Phase};
use hawser_e2e::fixture::jobs;
use hawser_e2e::{operator, wait};
use kube::api::{Api, ListParams, Patch, PatchParams};
use serde_json::json;

use crate::scene::{Scene, sleep};

#[tokio::test]
async fn an_order_seen_again_from_an_old_cursor_gives_one_job_and_one_pod() -> Result<()> {
    Scene::with_gpus("twice", 1, async |scene| {
        let placed = scene.order(&scene.job_spec(1, 120, &sleep(25))).await?;
        placed.order.running(&scene.client).await?;

        operator::kill(&scene.client).await?;
        read_again(scene).await?;
        let networks: Api<DepinNetwork> = Api::all(scene.client.clone());
        operator::leads(&scene.client).await?;
        let order_block = placed.order.seen(&scene.client).await?.spec.source.context("an order without source")?.block;
        wait::until("the order's block was read again", wait::SOON, async || {
            let cursor = networks.get(scene.fixture.network()).await?.status.and_then(|status| status.cursor);
            let read = cursor.as_ref().is_some_and(|cursor| cursor.block > order_block);
            Ok(if read { Ok(()) } else { Err(format!("{cursor:?}")) })
        })
        .await?;

        let all = jobs(&scene.client, &scene.namespace).list(&ListParams::default()).await?.items;
        ensure!(all.len() == 1, "{} ComputeJobs of one order", all.len());
        let pods = placed.order.pods(&scene.client).await?;
        ensure!(pods.len() == 1, "{} pods of one order", pods.len());
        let job = placed.order.over(&scene.client).await?;
        ensure!(job.status.unwrap_or_default().phase == Phase::Succeeded);
        let after = scene.books().await?;
        placed.order.assert_settled(&scene.fixture, &placed.before, &after, placed.deposit).await?;
        Ok(())
    })
    .await
}

/// The next leader reads all orders again, from the block of the market on.
pub(super) async fn read_again(scene: &Scene) -> Result<()> {
    let networks: Api<DepinNetwork> = Api::all(scene.client.clone());
    let old = json!({ "status": { "cursor": { "block": scene.fixture.chain.start_block, "hash": "" } } });
    networks.patch_status(scene.fixture.network(), &PatchParams::default(), &Patch::Merge(&old)).await?;
    Ok(())
}
