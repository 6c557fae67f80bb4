use alloy::primitives::Bytes;
use anyhow::{Result, ensure};
use hawser_contracts::ComputeMarket;
use hawser_crds::{Confirmations, Phase, condition};
use hawser_e2e::balances::is;
use hawser_e2e::{conditions, network, wait};
use hawser_market::JobStatus;
use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, ListParams};

use super::{all_succeed, has_ended};
use crate::testbed::{Placed, Testbed, sleep};

/// As deep as orders must lie before they are believed.
const DEEPEST: u64 = 6;
/// Deeper than an order lies that was just seen after one block.
const DEEP: u64 = 10;

#[tokio::test]
#[ignore = "not run here: it reorganises the chain of the local cluster's anvil"]
async fn an_order_is_run_and_paid_once_though_its_open_start_and_claim_are_taken_back_at_every_depth() -> Result<()> {
    Testbed::with_gpus("reorgs", 2, async |testbed| {
        network::confirm(&testbed.client, testbed.fixture.network(), Confirmations::Blocks(DEEPEST)).await?;
        offer_is_out_of_reach(testbed, DEEPEST).await?;
        let before = testbed.fixture.chain.balances().await?;
        let placed = testbed.order(&testbed.job_spec(2, 600, &sleep(60))).await?;
        let ordered = testbed.fixture.chain.order_transaction(placed.order.id).await?;
        taken_back_at_every_depth(testbed, &placed, Some(&ordered), |job| !is(job, JobStatus::None)).await?;

        placed.order.running(&testbed.client).await?;
        taken_back_at_every_depth(testbed, &placed, None, |job| is(job, JobStatus::Running)).await?;
        ensure!(was_told(testbed, &placed, "StartUndone").await?, "no event told that the start was undone");

        placed.order.when(&testbed.client, "has ended", wait::SOON, has_ended).await?;
        taken_back_at_every_depth(testbed, &placed, None, |job| job.used > 0).await?;
        all_succeed(testbed, &before, &[&placed.order]).await?;
        Ok(())
    })
    .await
}

/// Waits until no reorganisation of this depth takes the offer itself back: an order that comes again before the offer does
/// reverts, and its customer would have to place another one.
async fn offer_is_out_of_reach(testbed: &Testbed, depth: u64) -> Result<()> {
    let chain = &testbed.fixture.chain;
    let posted = chain.head().await?;
    wait::until("the offer lies deep", wait::SOON, async || {
        let head = chain.head().await?;
        Ok(if head > posted + depth { Ok(()) } else { Err(format!("block {head}, and it was posted up to {posted}")) })
    })
    .await
}

/// Each time it holds again it is taken back, one block deeper than before; an order comes again from its customer.
async fn taken_back_at_every_depth(
    testbed: &Testbed,
    placed: &Placed,
    ordered: Option<&Bytes>,
    holds: impl Fn(&ComputeMarket::Job) -> bool,
) -> Result<()> {
    let (chain, id) = (&testbed.fixture.chain, placed.order.id);
    for depth in 1..=DEEPEST {
        let what = format!("what a reorganisation of {depth} blocks is to take back is on the chain");
        wait::until(&what, wait::SOON, async || {
            let job = chain.job(id).await?;
            if !holds(&job) {
                return Ok(Err(format!("{job:?}")));
            }
            if chain.undo(id, depth, &holds).await? {
                return Ok(Ok(()));
            }
            // A block came in between. Now it is done again, and lies less deep.
            chain.reorganise(DEEPEST).await?;
            Ok(Err("it lay too deep already".to_owned()))
        })
        .await?;
        if let Some(ordered) = ordered {
            chain.send_again(ordered).await?;
        }
    }
    wait::until("it holds again after the last one", wait::SOON, async || {
        let job = chain.job(id).await?;
        Ok(if holds(&job) { Ok(()) } else { Err(format!("{job:?}")) })
    })
    .await
}

#[tokio::test]
#[ignore = "not run here: it reorganises the chain of the local cluster's anvil"]
async fn an_order_that_is_lost_is_given_up_and_taken_anew_when_it_comes_back() -> Result<()> {
    Testbed::with_gpus("lost", 2, async |testbed| {
        let chain = &testbed.fixture.chain;
        let before = chain.balances().await?;
        let placed = testbed.order(&testbed.job_spec(2, 120, &sleep(5))).await?;
        let ordered = chain.order_transaction(placed.order.id).await?;
        // Believed after one block, and gone with more than one.
        placed.order.seen(&testbed.client).await?;
        ensure!(
            chain.undo(placed.order.id, DEEP, |job| !is(job, JobStatus::None)).await?,
            "the order lies too deep already"
        );

        let lost = placed.order.over(&testbed.client).await?.status.unwrap_or_default();
        ensure!((lost.phase, lost.reason.as_deref()) == (Phase::Failed, Some("Reorged")), "{lost:?}");
        let failed = lost.conditions.iter().find(|c| c.type_ == condition::FAILED);
        ensure!(failed.is_some_and(|c| c.message.contains("reorganisation")), "{}", conditions::text(&lost.conditions));
        ensure!(chain.balances().await? == before, "an order that the chain does not hold has cost something");

        testbed.offers(2).await?;
        chain.send_again(&ordered).await?;
        let succeeded =
            |job: &hawser_crds::ComputeJob| job.status.as_ref().is_some_and(|s| s.phase == Phase::Succeeded);
        placed.order.when(&testbed.client, "has come back and succeeded", wait::SOON, succeeded).await?;
        all_succeed(testbed, &before, &[&placed.order]).await?;
        Ok(())
    })
    .await
}

/// An event of the order's `ComputeJob` had this reason.
async fn was_told(testbed: &Testbed, placed: &Placed, reason: &str) -> Result<bool> {
    let events: Api<Event> = Api::namespaced(testbed.client.clone(), &testbed.namespace);
    let name = placed.order.name();
    let all = events.list(&ListParams::default()).await?;
    Ok(all.iter().any(|event| {
        event.reason.as_deref() == Some(reason)
            && event.regarding.as_ref().and_then(|object| object.name.as_ref()) == Some(&name)
    }))
}
