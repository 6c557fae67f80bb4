use alloy::primitives::Address;
use anyhow::{Context, Result, ensure};
use hawser_e2e::customer::Customer;
use hawser_e2e::wait;
use hawser_local::Layout;
use hawser_local::nvidia::{Double, Gpu};

use crate::testbed::{Testbed, sleep};

/// A figure that no idle double shows.
const UTILIZATION: u32 = 73;

#[tokio::test]
#[ignore = "not run here: it changes what the NVML double's cards read"]
async fn the_evidence_holds_samples_of_exactly_the_jobs_cards() -> Result<()> {
    Testbed::with_gpus("evidence", 2, async |testbed| {
        let placed = testbed.order(&testbed.job_spec(2, 180, &sleep(25))).await?;
        let status = placed.order.running(&testbed.client).await?.status.unwrap_or_default();
        let cards = status.gpu_uuids.clone();
        ensure!(cards.len() == 2, "the status names {cards:?} for a job of 2 GPUs");
        let busy = Busy::set(&cards)?;
        let job = placed.order.over(&testbed.client).await?;
        drop(busy);

        let url =
            job.status.unwrap_or_default().usage.unwrap_or_default().evidence.context("no evidence in the status")?;
        let verified = Customer::first(&testbed.fixture).verify(&url).await?;
        ensure!(verified["ok"] == true, "{verified}");
        let seen = verified["evidence"]["gpuSamples"].as_array().context("no samples in the evidence")?;
        let mut uuids: Vec<_> = seen.iter().filter_map(|gpu| gpu["uuid"].as_str()).collect();
        let mut expected: Vec<_> = cards.iter().map(String::as_str).collect();
        uuids.sort_unstable();
        expected.sort_unstable();
        ensure!(uuids == expected, "samples of {uuids:?} in the evidence of a job on {expected:?}");
        for gpu in seen {
            let highest = &gpu["utilizationGpuPercent"]["max"];
            ensure!(*highest == UTILIZATION, "utilisation was {UTILIZATION} %, the evidence says {gpu}");
        }
        Ok(())
    })
    .await
}

/// Cards that look busy until this is dropped.
struct Busy {
    double: Double,
    cards: Vec<Gpu>,
}

impl Busy {
    fn set(cards: &[String]) -> Result<Self> {
        let cards = cards.iter().map(|card| Ok(card.parse()?)).collect::<Result<_>>()?;
        let busy = Self { double: Double::of(&Layout::of_this_machine()?), cards };
        busy.cards.iter().try_for_each(|card| busy.double.set_utilization(card, UTILIZATION))?;
        Ok(busy)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        for card in &self.cards {
            if let Err(error) = self.double.set_utilization(card, 0) {
                eprintln!("a card goes on looking busy: {error:#}");
            }
        }
    }
}

#[tokio::test]
async fn a_flipped_byte_of_evidence_is_found() -> Result<()> {
    Testbed::with_gpus("tampered", 1, async |testbed| {
        let placed = testbed.order(&testbed.job_spec(1, 60, &sleep(8))).await?;
        let job = placed.order.over(&testbed.client).await?;
        let status = job.status.unwrap_or_default();
        let attestor: Address = status.attestor.context("no attestor in the status")?.parse()?;
        let url = status.usage.unwrap_or_default().evidence.context("no evidence in the status")?;
        // `hawser verify` takes the job from the path.
        let directory = tempfile::tempdir()?;
        let folder = directory.path().join(placed.order.id.to_string());
        std::fs::create_dir(&folder)?;
        let file = folder.join("evidence.jsonl");
        let first = format!("{}/{attestor:#x}/000000.jsonl", url.trim_end_matches('/'));
        let text = wait::until("the evidence can be read", wait::SOON, async || {
            let answer = reqwest::get(&first).await?;
            Ok(if answer.status().is_success() { Ok(answer.text().await?) } else { Err(answer.status().to_string()) })
        })
        .await?;
        let customer = Customer::first(&testbed.fixture);
        std::fs::write(&file, &text)?;
        let path = file.to_str().context("a path that is not UTF-8")?;
        ensure!(customer.verify(path).await?["ok"] == true, "the evidence does not hold as it is");
        std::fs::write(&file, text.replacen("utilization", "utilisation", 1))?;
        let refused = customer.verify(path).await;
        ensure!(refused.is_err(), "tampered evidence was taken for good: {refused:?}");
        Ok(())
    })
    .await
}
