use anyhow::{Context, Result, ensure};
use hawser_crds::{Phase, Usage};
use hawser_e2e::customer::Customer;
use hawser_e2e::order::{Order, kubelet_gpu_seconds};
use hawser_e2e::wait;

use crate::testbed::{Placed, Testbed, sleep};

#[tokio::test]
async fn an_order_runs_is_attested_paid_and_refunded_to_the_last_unit() -> Result<()> {
    Testbed::with_gpus("line", 2, async |testbed| {
        let placed = testbed.order(&testbed.job_spec(2, 120, &sleep(12))).await?;
        settles_to_the_last_unit(testbed, &placed).await?;
        Ok(())
    })
    .await
}

/// The order's program succeeds; what it used is attested, paid and verified, and everything else went back.
pub(crate) async fn settles_to_the_last_unit(testbed: &Testbed, placed: &Placed) -> Result<()> {
    let usage = all_of_its_use_is_claimed(testbed, &placed.order).await?;
    ensure!(usage.vouchers_rejected == 0, "{usage:?}");
    let after = testbed.credits().await?;
    placed.order.assert_settled(&testbed.fixture, &placed.before, &after, placed.deposit).await?;
    testbed.fixture.chain.assert_solvent(alloy::primitives::U256::ZERO).await
}

/// The order's program succeeds; what it used is attested, claimed and verified, and is as much as kubelet counts.
pub(crate) async fn all_of_its_use_is_claimed(testbed: &Testbed, order: &Order) -> Result<Usage> {
    let job = order.over(&testbed.client).await?;
    let status = job.status.clone().unwrap_or_default();
    ensure!(status.phase == Phase::Succeeded, "{status:?}");

    let claimed = testbed.fixture.chain.job(order.id).await?.used;
    let usage = status.usage.clone().unwrap_or_default();
    ensure!(claimed == usage.gpu_seconds, "the sidecar vouched for {} and {claimed} were claimed", usage.gpu_seconds);
    let kubelet = kubelet_gpu_seconds(&job)?;
    let apart = kubelet.abs_diff(i64::try_from(claimed)?);
    // Kubelet writes whole seconds, and meter hears of the end within two: two GPUs, three seconds.
    ensure!(apart <= 6, "kubelet counts {kubelet} GPU-seconds, {claimed} were claimed");

    let evidence = usage.evidence.as_deref().unwrap_or_default();
    let verified = Customer::first(&testbed.fixture).verify(evidence).await?;
    ensure!(verified["ok"] == true, "{verified}");
    Ok(usage)
}

/// More of the job is counted, by the evidence that is stored: the status follows minutes later.
pub(crate) async fn counts_on(testbed: &Testbed, placed: &Placed) -> Result<()> {
    let counted = async || -> Result<_> {
        let status = placed.order.running(&testbed.client).await?.status.unwrap_or_default();
        let evidence = status.usage.and_then(|usage| usage.evidence).context("no evidence in the status")?;
        let verified = Customer::first(&testbed.fixture).verify(&evidence).await?;
        verified["evidence"]["gpuSeconds"].as_u64().context("no GPU-seconds in the evidence")
    };
    let before = counted().await?;
    wait::until("more of the job is counted", wait::SOON, async || {
        let now = counted().await?;
        Ok(if now > before { Ok(()) } else { Err(format!("{now} GPU-seconds, as before")) })
    })
    .await
}
