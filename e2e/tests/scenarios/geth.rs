use std::time::Duration;

use alloy::primitives::U256;
use anyhow::{Context, Result, ensure};
use hawser_crds::{Confirmations, Earnings, Finality, GpuOffer, Withdraw, condition};
use hawser_e2e::cluster::jobs;
use hawser_e2e::{conditions, network, wait};
use kube::api::{Api, DeleteParams};

use crate::lifecycle::settles_to_the_last_unit;
use crate::node::Node;
use crate::testbed::{OFFER, Placed, Testbed, sleep};

#[tokio::test]
#[ignore = "not run here: geth listens where only the local cluster's pods look"]
async fn orders_on_geth_settle_to_the_last_unit_and_its_network_goes_when_nothing_needs_it() -> Result<()> {
    Testbed::on(
        Node::geth,
        "geth",
        2,
        |_| (),
        async |testbed| {
            settles_after_a_block(testbed).await?;
            earnings_are_paid_out(testbed).await?;
            settles_after_finality(testbed).await?;
            leaves(testbed).await
        },
    )
    .await
}

async fn settles_after_a_block(testbed: &Testbed) -> Result<()> {
    let placed = testbed.order(&testbed.job_spec(2, 120, &sleep(15))).await?;
    placed.order.running(&testbed.client).await?;
    placed.order.attested(&testbed.client).await?;
    settles_to_the_last_unit(testbed, &placed).await?;
    earnings_agree(testbed).await
}

/// The operator sends what was earned to the payout address, and says so.
async fn earnings_are_paid_out(testbed: &Testbed) -> Result<()> {
    let chain = &testbed.fixture.chain;
    let (earned, held) = (testbed.credits().await?.provider, chain.held(chain.actors.payout.address).await?);
    network::withdraw(&testbed.client, testbed.fixture.network(), &Withdraw::default()).await?;
    wait::until("status.earnings says what was withdrawn", wait::SOON, async || {
        let told = told(testbed).await?.context("no earnings")?;
        let withdrawn = chain.units(&told.withdrawn).await?;
        let right = withdrawn == earned && told.credit == "0" && told.withdrawn_at.is_some();
        Ok(if right { Ok(()) } else { Err(format!("{earned} units were earned, and it says {told:?}")) })
    })
    .await?;
    ensure!(testbed.credits().await?.provider.is_zero(), "there is credit left");
    ensure!(chain.held(chain.actors.payout.address).await? == held + earned, "the payout address did not get it");
    let wallet =
        network::status(&testbed.client, testbed.fixture.network()).await?.wallet.context("no wallet in the status")?;
    ensure!(wallet.gas_spent != "0", "transactions were mined, and gasSpent is 0");
    Ok(())
}

async fn settles_after_finality(testbed: &Testbed) -> Result<()> {
    network::confirm(&testbed.client, testbed.fixture.network(), Confirmations::Tag(Finality::Finalized)).await?;
    let placed = testbed.order(&testbed.job_spec(1, 120, &sleep(5))).await?;
    taken_when_final(testbed, &placed).await?;
    settles_to_the_last_unit(testbed, &placed).await?;
    earnings_agree(testbed).await
}

/// geth's developer chain makes every 32nd block final.
async fn taken_when_final(testbed: &Testbed, placed: &Placed) -> Result<()> {
    let jobs = jobs(&testbed.client, &testbed.namespace);
    wait::until("a finalized order is taken", wait::SOON, async || {
        let job = jobs.get_opt(&placed.order.name()).await?;
        // Read after the job: it only rises.
        let last = testbed.fixture.chain.finalized().await?;
        let Some(job) = job else { return Ok(Err(format!("there is no ComputeJob, and block {last} is final"))) };
        let block = job.spec.source.context("an order without source")?.block;
        ensure!(block <= last, "the order of block {block} was taken while {last} was the last final one");
        Ok(Ok(()))
    })
    .await
}

/// What the operator tells of its earnings in the chain's token.
async fn told(testbed: &Testbed) -> Result<Option<Earnings>> {
    let token = testbed.fixture.chain.token.to_checksum(None);
    let status = network::status(&testbed.client, testbed.fixture.network()).await?;
    Ok(status.earnings.into_iter().find(|earned| earned.token == token))
}

/// What the operator tells of its earnings is what the market owes the provider.
async fn earnings_agree(testbed: &Testbed) -> Result<()> {
    let chain = &testbed.fixture.chain;
    // The status is written every 15 seconds.
    wait::until("status.earnings is the market's credit", wait::SOON, async || {
        let Some(earned) = told(testbed).await? else {
            return Ok(Err(format!("there are no earnings in {}", chain.token)));
        };
        let owed = testbed.credits().await?.provider;
        let (credit, pending) = (chain.units(&earned.credit).await?, chain.units(&earned.pending).await?);
        let agree = credit == owed && !owed.is_zero() && pending == U256::ZERO;
        Ok(if agree { Ok(()) } else { Err(format!("the market owes {owed} units, and it says {earned:?}")) })
    })
    .await
}

/// A network that is deleted stays until its offer was withdrawn on chain, and goes then.
async fn leaves(testbed: &Testbed) -> Result<()> {
    let (client, namespace) = (&testbed.client, &testbed.namespace);
    network::leave(client, testbed.fixture.network()).await?;
    wait::until("the network says what it stays for", wait::SOON, async || {
        let conditions = network::status(client, testbed.fixture.network()).await?.conditions;
        let leaving = conditions::reason(&conditions, condition::READY) == Some("Leaving");
        Ok(if leaving { Ok(()) } else { Err(conditions::text(&conditions)) })
    })
    .await?;

    let offers: Api<GpuOffer> = Api::namespaced(client.clone(), namespace);
    offers.delete(OFFER, &DeleteParams::default()).await?;
    // Orders up to its withdrawal are read first, and that has to become final.
    wait::gone(&offers, OFFER, Duration::from_mins(4)).await?;
    ensure!(testbed.fixture.chain.available(&testbed.offer).await? == 0, "the offer is gone and stands on chain");
    network::gone(client, testbed.fixture.network()).await
}
