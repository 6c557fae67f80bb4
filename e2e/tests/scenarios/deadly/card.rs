//! A card that falls off the bus. Until it is back, NVIDIA's device plugin gives none of the node's cards to anybody.

use anyhow::{Context, Result, ensure};
use hawser_crds::Phase;
use hawser_local::Layout;
use hawser_local::nvidia::{Double, Gpu};
use jiff::Timestamp;

use crate::lifecycle::counts_on;
use crate::programs::settled;
use crate::testbed::{Testbed, sleep};

#[tokio::test]
#[ignore = "not run here: it takes a card of the NVML double off the bus"]
async fn a_card_that_dies_under_a_job_stops_the_count_and_ends_the_job_with_the_reason() -> Result<()> {
    Testbed::with_gpus("dying", 1, async |testbed| {
        let placed = testbed.order(&testbed.job_spec(1, 300, &sleep(280))).await?;
        let status = placed.order.running(&testbed.client).await?.status.unwrap_or_default();
        placed.order.attested(&testbed.client).await?;
        counts_on(testbed, &placed).await?;
        let began = status.container_started_at.context("a program that runs began")?.0;
        let [card] = status.gpu_uuids.as_slice() else { anyhow::bail!("{:?}", status.gpu_uuids) };
        let lost = Lost::lose(Gpu::Uuid(card.clone()))?;
        let until_then = Timestamp::now().duration_since(began).as_secs();

        let status = settled(testbed, &placed, Phase::Failed).await?;
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
