//! The evidence store goes away. All networks share it, so no other test may run beside this one.

use anyhow::{Result, ensure};
use hawser_crds::condition;
use hawser_e2e::customer::Customer;
use hawser_e2e::network;
use hawser_local::Cluster;

use crate::lifecycle::{all_of_its_use_is_claimed, counts_on};
use crate::testbed::{Testbed, sleep};

const S3: &str = "s3";

#[tokio::test]
#[ignore = "not run here: it stops the local cluster's S3 server"]
async fn an_evidence_store_that_is_away_is_told_and_not_a_line_is_lost() -> Result<()> {
    Testbed::with_gpus("store", 1, async |testbed| {
        let placed = testbed.order(&testbed.job_spec(1, 900, &sleep(900))).await?;
        placed.order.running(&testbed.client).await?;
        placed.order.attested(&testbed.client).await?;
        counts_on(testbed, &placed).await?;

        let away = Away::stop()?;
        let network = testbed.fixture.network();
        let told = network::says(&testbed.client, network, condition::EVIDENCE_STORED, "StoreFails").await?;
        ensure!(told.contains("meters keep it"), "{told}");
        // Nobody ends a job for that.
        placed.order.running(&testbed.client).await?;
        drop(away);

        network::says(&testbed.client, network, condition::EVIDENCE_STORED, "Stored").await?;
        counts_on(testbed, &placed).await?;
        Customer::first(&testbed.fixture).hawser(&["end", &placed.order.id.to_string()]).await?;
        // Kubelet counts as much as was claimed, and the evidence is one chain.
        all_of_its_use_is_claimed(testbed, &placed.order).await?;
        let after = testbed.credits().await?;
        placed.order.assert_settled(&testbed.fixture, &placed.before, &after, placed.deposit).await?;
        Ok(())
    })
    .await
}

/// An S3 server that is back when this is dropped.
struct Away(Cluster);

impl Away {
    fn stop() -> Result<Self> {
        let away = Self(Cluster::attach()?);
        away.0.supervisor()?.stop(S3)?;
        Ok(away)
    }
}

impl Drop for Away {
    fn drop(&mut self) {
        if let Err(error) = self.0.supervisor().and_then(|supervisor| supervisor.start(S3)) {
            eprintln!("the S3 server stays away: {error:#}");
        }
    }
}
