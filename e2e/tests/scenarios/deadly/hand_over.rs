//! One replica leads and one stands by; leaders go while a job runs, and the next one counts on.

use anyhow::{Context, Result, ensure};
use hawser_e2e::customer::Customer;
use hawser_e2e::operator;

use crate::lifecycle::{counts_on, settles_to_the_last_unit};
use crate::testbed::{Placed, Testbed, sleep};

#[tokio::test]
async fn a_rollout_and_a_crash_under_a_running_job_lose_no_report() -> Result<()> {
    running("replaced", async |testbed, placed| {
        operator::roll_out(&testbed.client).await?;
        counts_on(testbed, placed).await.context("after the rollout")?;
        operator::kill_leader(&testbed.client).await?;
        counts_on(testbed, placed).await.context("after the crash")
    })
    .await
}

#[tokio::test]
#[ignore = "not run here: only on this machine can the operator's process be stopped"]
async fn a_leader_that_hangs_and_wakes_up_under_a_running_job_loses_no_report() -> Result<()> {
    running("hung", async |testbed, placed| {
        let frozen = operator::freeze_leader(&testbed.client).await?;
        counts_on(testbed, placed).await.context("while the old leader hangs")?;
        drop(frozen);
        counts_on(testbed, placed).await.context("after the old leader woke up")
    })
    .await
}

/// A job runs through `faults` until its customer ends it: its evidence has every report, and money went where it should to
/// the last unit.
async fn running(name: &str, faults: impl AsyncFnOnce(&Testbed, &Placed) -> Result<()>) -> Result<()> {
    Testbed::with_gpus(name, 2, async |testbed| {
        let placed = testbed.order(&testbed.job_spec(2, 900, &sleep(900))).await?;
        placed.order.running(&testbed.client).await?;
        placed.order.attested(&testbed.client).await?;
        faults(testbed, &placed).await?;

        let customer = Customer::first(&testbed.fixture);
        customer.hawser(&["end", &placed.order.id.to_string()]).await?;
        settles_to_the_last_unit(testbed, &placed).await?;
        let status = placed.order.over(&testbed.client).await?.status.unwrap_or_default();
        let evidence = status.usage.unwrap_or_default().evidence.context("no evidence in the status")?;
        let verified = customer.verify(&evidence).await?;
        let gap = verified["evidence"]["longestGapSeconds"].as_f64().context("no longest gap")?;
        // A report is made when it is due, whoever leads; one that was lost would leave twice the interval.
        let interval = f64::from(testbed.fixture.offer_spec().attestation.interval_seconds);
        ensure!(gap < 2.0 * interval, "{gap} s between two reports that are due every {interval} s: {verified}");
        Ok(())
    })
    .await
}
