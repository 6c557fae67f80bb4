use std::time::Duration;

use alloy::primitives::U256;
use anyhow::{Context, Result, ensure};
use hawser_crds::{Confirmations, Earnings, Finality, GpuOffer, Withdraw, condition};
use hawser_e2e::fixture::jobs;
use hawser_e2e::{conditions, network, wait};
use kube::api::{Api, DeleteParams};

use crate::lifecycle::settles_to_the_last_unit;
use crate::node::Node;
use crate::scene::{OFFER, Placed, Scene, sleep};

#[tokio::test]
#[ignore = "not run here: geth listens where only the local cluster's pods look"]
async fn orders_on_geth_settle_to_the_last_unit_and_its_network_goes_when_nothing_needs_it() -> Result<()> {
    Scene::on(
        Node::geth,
        "geth",
        2,
        |_| (),
        async |scene| {
            settles_after_a_block(scene).await?;
            earnings_are_paid_out(scene).await?;
            settles_after_finality(scene).await?;
            leaves(scene).await
        },
    )
    .await
}

async fn settles_after_a_block(scene: &Scene) -> Result<()> {
    let placed = scene.order(&scene.job_spec(2, 120, &sleep(15))).await?;
    placed.order.running(&scene.client).await?;
    placed.order.attested(&scene.client).await?;
    settles_to_the_last_unit(scene, &placed).await?;
    earnings_agree(scene).await
}

/// The operator sends what was earned to the payout address, and says so.
async fn earnings_are_paid_out(scene: &Scene) -> Result<()> {
    let chain = &scene.fixture.chain;
    let (earned, held) = (scene.books().await?.provider, chain.held(chain.actors.payout.address).await?);
    network::withdraw(&scene.client, scene.fixture.network(), &Withdraw::default()).await?;
    wait::until("status.earnings says what was withdrawn", wait::SOON, async || {
        let told = told(scene).await?.context("no earnings")?;
        let withdrawn = chain.units(&told.withdrawn).await?;
        let right = withdrawn == earned && told.credit == "0" && told.withdrawn_at.is_some();
        Ok(if right { Ok(()) } else { Err(format!("{earned} units were earned, and it says {told:?}")) })
    })
    .await?;
    ensure!(scene.books().await?.provider.is_zero(), "there is credit left");
    ensure!(chain.held(chain.actors.payout.address).await? == held + earned, "the payout address did not get it");
    let wallet =
        network::status(&scene.client, scene.fixture.network()).await?.wallet.context("no wallet in the status")?;
    ensure!(wallet.gas_spent != "0", "transactions were mined, and gasSpent is 0");
    Ok(())
}

async fn settles_after_finality(scene: &Scene) -> Result<()> {
    network::confirm(&scene.client, scene.fixture.network(), Confirmations::Tag(Finality::Finalized)).await?;
    let placed = scene.order(&scene.job_spec(1, 120, &sleep(5))).await?;
    taken_when_final(scene, &placed).await?;
    settles_to_the_last_unit(scene, &placed).await?;
    earnings_agree(scene).await
}

/// geth's developer chain makes every 32nd block final.
async fn taken_when_final(scene: &Scene, placed: &Placed) -> Result<()> {
    let jobs = jobs(&scene.client, &scene.namespace);
    wait::until("a finalized order is taken", wait::SOON, async || {
        let job = jobs.get_opt(&placed.order.name()).await?;
        // Read after the job: it only rises.
        let last = scene.fixture.chain.finalized().await?;
        let Some(job) = job else { return Ok(Err(format!("there is no ComputeJob, and block {last} is final"))) };
        let block = job.spec.source.context("an order without source")?.block;
        ensure!(block <= last, "the order of block {block} was taken while {last} was the last final one");
        Ok(Ok(()))
    })
    .await
}

/// What the operator tells of its earnings in the chain's token.
async fn told(scene: &Scene) -> Result<Option<Earnings>> {
    let token = scene.fixture.chain.token.to_checksum(None);
    let status = network::status(&scene.client, scene.fixture.network()).await?;
    Ok(status.earnings.into_iter().find(|earned| earned.token == token))
}

/// What the operator tells of its earnings is what the market owes the provider.
async fn earnings_agree(scene: &Scene) -> Result<()> {
    let chain = &scene.fixture.chain;
    // The status is written every 15 seconds.
    wait::until("status.earnings is the market's credit", wait::SOON, async || {
        let Some(earned) = told(scene).await? else {
            return Ok(Err(format!("there are no earnings in {}", chain.token)));
        };
        let owed = scene.books().await?.provider;
        let (credit, pending) = (chain.units(&earned.credit).await?, chain.units(&earned.pending).await?);
        let agree = credit == owed && !owed.is_zero() && pending == U256::ZERO;
        Ok(if agree { Ok(()) } else { Err(format!("the market owes {owed} units, and it says {earned:?}")) })
    })
    .await
}

/// A network that is deleted stays until its offer was withdrawn on chain, and goes then.
async fn leaves(scene: &Scene) -> Result<()> {
    let (client, namespace) = (&scene.client, &scene.namespace);
    network::leave(client, scene.fixture.network()).await?;
    wait::until("the network says what it stays for", wait::SOON, async || {
        let conditions = network::status(client, scene.fixture.network()).await?.conditions;
        let leaving = conditions::reason(&conditions, condition::READY) == Some("Leaving");
        Ok(if leaving { Ok(()) } else { Err(conditions::text(&conditions)) })
    })
    .await?;

    let offers: Api<GpuOffer> = Api::namespaced(client.clone(), namespace);
    offers.delete(OFFER, &DeleteParams::default()).await?;
    // Orders up to its withdrawal are read first, and that has to become final.
    wait::gone(&offers, OFFER, Duration::from_mins(4)).await?;
    ensure!(scene.fixture.chain.available(&scene.offer).await? == 0, "the offer is gone and stands on chain");
    network::gone(client, scene.fixture.network()).await
}
