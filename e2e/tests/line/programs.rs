//! What strangers' programs try on a real node, and what a card does under one.

use anyhow::{Context, Result, ensure};
use hawser_crds::{ComputeJobStatus, GpuOfferSpec, Phase};
use hawser_e2e::customer::Customer;
use hawser_local::Layout;
use hawser_local::nvidia::{Double, Gpu};
use jiff::Timestamp;

use crate::line::counts_on;
use crate::scene::{Placed, Scene, sleep};

#[tokio::test]
async fn a_program_that_takes_all_processes_is_counted_to_its_end() -> Result<()> {
    Scene::with_gpus("processes", 1, async |scene| {
        // The first loop ends where nothing can be forked any more; what it started holds every process of the pod until
        // the end, for which none is needed.
        let script =
            "(while :; do sleep 300 & done) 2>\"$HOME/why\"; read -r why <\"$HOME/why\" || exit 9; exec sleep 20";
        let placed = scene.order(&scene.wish(1, 180, script)).await?;
        let status = settled(scene, &placed, Phase::Succeeded).await?;
        let counted = status.usage.unwrap_or_default().gpu_seconds;
        ensure!(counted >= 18, "{counted} GPU-seconds of a program that held a GPU for over 20 s");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_program_that_fills_the_disk_is_evicted_and_pays_for_what_it_used() -> Result<()> {
    Scene::with_gpus("disk", 1, async |scene| {
        let script = format!("dd if=/dev/zero of=\"$HOME/full\" bs=1M count=400; {}", sleep(170));
        let placed = scene.order(&scene.wish(1, 180, &script)).await?;
        let status = settled(scene, &placed, Phase::Failed).await?;
        ensure!(status.reason.as_deref() == Some("Evicted"), "{status:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
#[ignore = "not run here: it takes a card of the NVML double off the bus"]
async fn a_card_that_dies_under_a_job_stops_the_count_and_ends_the_job_with_the_reason() -> Result<()> {
    // While it is off the bus there is one card less than the others were promised: it is this one's second.
    let one = |spec: &mut GpuOfferSpec| spec.capacity.max = Some(1);
    Scene::offering("dying", 2, one, async |scene| {
        let placed = scene.order(&scene.wish(1, 300, &sleep(280))).await?;
        let status = placed.order.running(&scene.client).await?.status.unwrap_or_default();
        placed.order.attested(&scene.client).await?;
        counts_on(scene, &placed).await?;
        let began = status.container_started_at.context("a program that runs began")?.0;
        let [card] = status.gpu_uuids.as_slice() else { anyhow::bail!("{:?}", status.gpu_uuids) };
        let lost = Lost::lose(Gpu::Uuid(card.clone()))?;
        let until_then = Timestamp::now().duration_since(began).as_secs();

        let status = settled(scene, &placed, Phase::Failed).await?;
        drop(lost);
        ensure!(status.reason.as_deref() == Some("GpuLost"), "{status:?}");
        let counted = i64::try_from(status.usage.unwrap_or_default().gpu_seconds)?;
        // Kubelet writes whole seconds.
        ensure!(counted <= until_then + 1, "{counted} s were counted of a card that was lost after {until_then} s");
        Ok(())
    })
    .await
}

/// A card that is off the bus until this is dropped.
struct Lost(Double, Gpu);

impl Lost {
    fn lose(card: Gpu) -> Result<Self> {
        let double = Double::of(&Layout::of_this_machine()?);
        double.lose(&card)?;
        Ok(Self(double, card))
    }
}

impl Drop for Lost {
    fn drop(&mut self) {
        if let Err(error) = self.0.restore(&self.1) {
            eprintln!("a card stays off the bus: {error:#}");
        }
    }
}

/// The job is over, something was paid for it, nothing is missing, and its evidence holds.
async fn settled(scene: &Scene, placed: &Placed, phase: Phase) -> Result<ComputeJobStatus> {
    let status = placed.order.over(&scene.client).await?.status.unwrap_or_default();
    ensure!(status.phase == phase, "{status:?}");
    let after = scene.books().await?;
    let split = placed.order.assert_settled(&scene.world, &placed.before, &after, placed.deposit).await?;
    ensure!(!split.provider.is_zero(), "nothing was paid: {split:?}, {status:?}");
    let evidence = status.usage.clone().unwrap_or_default().evidence.context("no evidence in the status")?;
    let verified = Customer::first(&scene.world).verify(&evidence).await?;
    ensure!(verified["ok"] == true, "{verified}");
    Ok(status)
}
