//! What strangers' programs try on a real node.

use anyhow::{Context, Result, ensure};
use hawser_crds::{ComputeJobStatus, Phase};
use hawser_e2e::customer::{Customer, JobSpec};

use crate::testbed::{Placed, Testbed, sleep};

#[tokio::test]
async fn a_program_that_takes_all_processes_is_counted_to_its_end() -> Result<()> {
    Testbed::with_gpus("processes", 1, async |testbed| {
        // The first loop ends where nothing can be forked any more; what it started holds every process of the pod until
        // the end, for which none is needed.
        let script =
            "(while :; do sleep 300 & done) 2>\"$HOME/why\"; read -r why <\"$HOME/why\" || exit 9; exec sleep 20";
        let placed = testbed.order(&testbed.job_spec(1, 180, script)).await?;
        let status = settled(testbed, &placed, Phase::Succeeded).await?;
        let counted = status.usage.unwrap_or_default().gpu_seconds;
        ensure!(counted >= 18, "{counted} GPU-seconds of a program that held a GPU for over 20 s");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_program_that_fills_the_disk_is_evicted_and_pays_for_what_it_used() -> Result<()> {
    Testbed::with_gpus("disk", 1, async |testbed| {
        let script = format!("dd if=/dev/zero of=\"$HOME/full\" bs=1M count=400; {}", sleep(170));
        let placed = testbed.order(&testbed.job_spec(1, 180, &script)).await?;
        let status = settled(testbed, &placed, Phase::Failed).await?;
        ensure!(status.reason.as_deref() == Some("Evicted"), "{status:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_images_environment_steers_neither_loaders_nor_nvidias_runtime() -> Result<()> {
    Testbed::with_gpus("steering", 1, async |testbed| {
        let script = [
            "[ \"$OF_THE_IMAGE\" = yes ] || exit 2",
            "[ -z \"$LD_PRELOAD$LD_AUDIT$NVIDIA_IMEX_CHANNELS\" ] || exit 3",
            "[ \"$NVIDIA_DRIVER_CAPABILITIES\" = compute,utility,video ] || exit 4",
            "[ \"$NVIDIA_MOFED$NVIDIA_NVSWITCH$NVIDIA_GDS$NVIDIA_GDRCOPY\" = disableddisableddisableddisabled ] || exit 5",
            "[ \"$NVIDIA_VISIBLE_DEVICES\" != all ] || exit 6",
            &sleep(10),
        ];
        let spec = testbed.job_spec(1, 120, &script.join("; "));
        let placed = testbed.order(&JobSpec { image: testbed.fixture.environment.steering_image.clone(), ..spec }).await?;
        settled(testbed, &placed, Phase::Succeeded).await.map(drop)
    })
    .await
}

/// The job is over, something was paid for it, nothing is missing, and its evidence holds.
pub(crate) async fn settled(testbed: &Testbed, placed: &Placed, phase: Phase) -> Result<ComputeJobStatus> {
    let status = placed.order.over(&testbed.client).await?.status.unwrap_or_default();
    ensure!(status.phase == phase, "{status:?}");
    let after = testbed.credits().await?;
    let split = placed.order.assert_settled(&testbed.fixture, &placed.before, &after, placed.deposit).await?;
    ensure!(!split.provider.is_zero(), "nothing was paid: {split:?}, {status:?}");
    let evidence = status.usage.clone().unwrap_or_default().evidence.context("no evidence in the status")?;
    let verified = Customer::first(&testbed.fixture).verify(&evidence).await?;
    ensure!(verified["ok"] == true, "{verified}");
    Ok(status)
}
