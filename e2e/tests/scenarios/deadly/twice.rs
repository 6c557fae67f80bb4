use anyhow::{Context, Result, ensure};
use hawser_crds::{DepinNetwork, Phase};
use hawser_e2e::cluster::jobs;
use hawser_e2e::{operator, wait};
use kube::api::{Api, ListParams, Patch, PatchParams};
use serde_json::json;

use crate::testbed::{Testbed, sleep};

#[tokio::test]
async fn an_order_seen_again_from_an_old_cursor_gives_one_job_and_one_pod() -> Result<()> {
    Testbed::with_gpus("twice", 1, async |testbed| {
        let placed = testbed.order(&testbed.job_spec(1, 120, &sleep(25))).await?;
        placed.order.running(&testbed.client).await?;

        operator::kill(&testbed.client).await?;
        read_again(testbed).await?;
        let networks: Api<DepinNetwork> = Api::all(testbed.client.clone());
        operator::leads(&testbed.client).await?;
        let order_block =
            placed.order.seen(&testbed.client).await?.spec.source.context("an order without source")?.block;
        wait::until("the order's block was read again", wait::SOON, async || {
            let cursor = networks.get(testbed.fixture.network()).await?.status.and_then(|status| status.cursor);
            let read = cursor.as_ref().is_some_and(|cursor| cursor.block > order_block);
            Ok(if read { Ok(()) } else { Err(format!("{cursor:?}")) })
        })
        .await?;

        let all = jobs(&testbed.client, &testbed.namespace).list(&ListParams::default()).await?.items;
        ensure!(all.len() == 1, "{} ComputeJobs of one order", all.len());
        let pods = placed.order.pods(&testbed.client).await?;
        ensure!(pods.len() == 1, "{} pods of one order", pods.len());
        let job = placed.order.over(&testbed.client).await?;
        ensure!(job.status.unwrap_or_default().phase == Phase::Succeeded);
        let after = testbed.credits().await?;
        placed.order.assert_settled(&testbed.fixture, &placed.before, &after, placed.deposit).await?;
        Ok(())
    })
    .await
}

/// The next leader reads all orders again, from the block of the market on.
pub(super) async fn read_again(testbed: &Testbed) -> Result<()> {
    let networks: Api<DepinNetwork> = Api::all(testbed.client.clone());
    let old = json!({ "status": { "cursor": { "block": testbed.fixture.chain.start_block, "hash": "" } } });
    networks.patch_status(testbed.fixture.network(), &PatchParams::default(), &Patch::Merge(&old)).await?;
    Ok(())
}
