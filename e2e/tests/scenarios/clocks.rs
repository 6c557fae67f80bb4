//! A clock that is off: the operator's against the chain's, which is the same to both.

use anyhow::{Result, ensure};
use hawser_crds::{ComputeJobStatus, Phase, condition};
use hawser_e2e::network;

use crate::node::Node;
use crate::testbed::{Placed, Testbed, sleep};

/// Far beyond any delay: as many seconds as some clocks lose in a month.
const OFF: i64 = 600;
/// For longer than an offer holds.
const DAYS: i64 = 2 * 24 * 3600;

#[tokio::test]
#[ignore = "not run here: the chain's clock is set"]
async fn where_the_operators_clock_is_behind_orders_run_and_end_by_the_chains() -> Result<()> {
    runs_off("behind", DAYS, "ClockBehind").await
}

#[tokio::test]
#[ignore = "not run here: the chain's clock is set"]
async fn where_the_operators_clock_is_ahead_orders_run_and_end_by_the_chains() -> Result<()> {
    runs_off("fast", -OFF, "ClockAhead").await
}

/// The chain's clock is this many seconds ahead of the cluster's.
async fn runs_off(name: &str, seconds: i64, reason: &str) -> Result<()> {
    Testbed::on(
        async || Node::off(seconds).await,
        name,
        1,
        |_| (),
        async |testbed| {
            let told =
                network::says(&testbed.client, testbed.fixture.network(), condition::CLOCK_IN_SYNC, reason).await?;
            ensure!(told.contains("check NTP"), "{told}");

            let short = testbed.order(&testbed.job_spec(1, 60, &sleep(5))).await?;
            settled(testbed, &short, Phase::Succeeded).await?;
            // It would end at once by a clock that is ahead, and days late by one that is behind.
            let long = testbed.order(&testbed.job_spec(1, 30, &sleep(3000))).await?;
            ends_when_its_time_is_up(testbed, &long).await
        },
    )
    .await
}

/// The job is over and nothing is missing. Its evidence is not looked at: its times are those of a clock that is wrong.
async fn settled(testbed: &Testbed, placed: &Placed, phase: Phase) -> Result<ComputeJobStatus> {
    let status = placed.order.over(&testbed.client).await?.status.unwrap_or_default();
    ensure!(status.phase == phase, "{status:?}");
    let after = testbed.credits().await?;
    placed.order.assert_settled(&testbed.fixture, &placed.before, &after, placed.deposit).await?;
    Ok(status)
}

async fn ends_when_its_time_is_up(testbed: &Testbed, placed: &Placed) -> Result<()> {
    let status = settled(testbed, placed, Phase::Succeeded).await?;
    ensure!(status.reason.as_deref() == Some("TimeUp"), "{status:?}");
    let used = testbed.fixture.chain.job(placed.order.id).await?.used;
    // What is left of the thirty seconds is the time from the start on chain to the program's.
    ensure!((10..=30).contains(&used), "{used} GPU-seconds of 30 were paid for: {status:?}");
    Ok(())
}
