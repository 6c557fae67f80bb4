use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use hawser_crds::condition;
use hawser_e2e::doubles::endpoint::{Endpoint, Trouble};
use hawser_e2e::{network, wait};

use super::{all_succeed, behind_an_endpoint};
use crate::testbed::{Testbed, sleep};

/// How long the endpoint is away.
const AWAY: Duration = Duration::from_mins(1);

#[tokio::test]
#[ignore = "not run here: only the local cluster's pods reach the endpoint"]
async fn an_endpoint_that_is_away_for_a_minute_costs_nothing_in_any_phase() -> Result<()> {
    behind_an_endpoint("away", 4, async |testbed, endpoint| {
        let before = testbed.fixture.chain.balances().await?;
        let runs_on = testbed.order(&testbed.job_spec(1, 300, &sleep(100))).await?;
        let ends = testbed.order(&testbed.job_spec(1, 300, &sleep(20))).await?;
        runs_on.order.running(&testbed.client).await?;
        ends.order.running(&testbed.client).await?;
        runs_on.order.attested(&testbed.client).await?;
        let begins = testbed.order(&testbed.job_spec(1, 300, &sleep(5))).await?;
        begins.order.seen(&testbed.client).await?;

        let gone = Instant::now();
        endpoint.set(Trouble::Away).await?;
        let message =
            network::says(&testbed.client, testbed.fixture.network(), condition::CONNECTED, "Unreachable").await?;
        ensure!(message.contains(&endpoint.url()), "{message}");
        let unseen = testbed.order(&testbed.job_spec(1, 300, &sleep(5))).await?;
        let unavailable = |job: &hawser_crds::ComputeJob| {
            job.status.as_ref().is_some_and(|status| status.reason.as_deref() == Some("NetworkUnavailable"))
        };
        runs_on.order.when(&testbed.client, "says that its network is away", AWAY, unavailable).await?;
        tokio::time::sleep(AWAY.saturating_sub(gone.elapsed())).await;

        // What it has missed it may read in small pieces only.
        endpoint.set(Trouble::NarrowLogs(3)).await?;
        all_succeed(testbed, &before, &[&runs_on.order, &ends.order, &begins.order, &unseen.order]).await?;
        ensure!(endpoint.spoiled() > 0, "the endpoint never refused a range of blocks");
        Ok(())
    })
    .await
}

#[tokio::test]
#[ignore = "not run here: only the local cluster's pods reach the endpoint"]
async fn an_endpoint_that_is_not_to_be_trusted_is_named_and_orders_wait_until_it_is_well() -> Result<()> {
    behind_an_endpoint("untrusted", 4, async |testbed, endpoint| {
        let before = testbed.fixture.chain.balances().await?;
        let head = testbed.fixture.chain.head().await?;
        let mut orders = Vec::new();
        for (trouble, reason, words) in [
            (Trouble::OtherChain, "WrongChain", "serves chain 1"),
            (Trouble::TooManyRequests, "Unreachable", "429"),
            (Trouble::HalfAnswers, "Unreachable", ""),
            (Trouble::OldHead(head), "HeadStalled", "newest block"),
        ] {
            // It comes back otherwise than it went.
            goes_away(testbed, endpoint).await?;
            let order = testbed.order(&testbed.job_spec(1, 300, &sleep(5))).await?.order;
            let spoiled = endpoint.spoiled();
            endpoint.set(trouble).await?;
            wait::until("the operator has met the trouble", AWAY, async || {
                let more = endpoint.spoiled() - spoiled;
                Ok(if more > 0 { Ok(()) } else { Err(format!("{trouble:?} has spoiled nothing")) })
            })
            .await?;
            let message =
                network::says_with(&testbed.client, testbed.fixture.network(), condition::CONNECTED, reason, words)
                    .await?;
            ensure!(message.contains(&endpoint.url()), "{trouble:?}: {message}");
            endpoint.set(Trouble::None).await?;
            order.running(&testbed.client).await?;
            orders.push(order);
        }
        all_succeed(testbed, &before, &orders.iter().collect::<Vec<_>>()).await?;
        Ok(())
    })
    .await
}

/// Leaves the offer open: it is so once the network is well, and nothing new is said on chain while that is away. What was
/// decided in the trouble before may still have been on its way.
async fn goes_away(testbed: &Testbed, endpoint: &mut Endpoint) -> Result<()> {
    loop {
        // Or what it says below is still of the trouble before.
        network::says(&testbed.client, testbed.fixture.network(), condition::CONNECTED, "Connected").await?;
        testbed.offers(1).await?;
        endpoint.set(Trouble::Away).await?;
        network::says(&testbed.client, testbed.fixture.network(), condition::CONNECTED, "Unreachable").await?;
        if testbed.fixture.chain.available(&testbed.offer).await? > 0 {
            return Ok(());
        }
        endpoint.set(Trouble::None).await?;
    }
}
