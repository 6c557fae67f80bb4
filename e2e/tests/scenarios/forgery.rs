use alloy::primitives::Address;
use anyhow::{Context, Result, ensure};
use hawser_attestation::{Line, MarketId, evidence_path};
use hawser_e2e::attacker::{Attacker, reason};
use hawser_e2e::wait;
use hawser_proto::attestation::{RejectReason, Rejected};
use kube::ResourceExt;

use crate::testbed::{Placed, Testbed, sleep};

#[tokio::test]
#[ignore = "not run here: it takes meter's key out of kubelet's folder on this machine"]
async fn forged_replayed_and_exaggerated_reports_are_refused_and_told() -> Result<()> {
    Testbed::with_gpus("forgery", 1, async |testbed| {
        let placed = testbed.order(&testbed.job_spec(1, 120, &sleep(45))).await?;
        placed.order.running(&testbed.client).await?;
        let status = placed.order.attested(&testbed.client).await?.status.unwrap_or_default();
        let attestor: Address = status.attestor.context("no attestor in the status")?.parse()?;
        let pods = placed.order.pods(&testbed.client).await?;
        let uid = pods.first().and_then(ResourceExt::uid).context("the job has no pod")?;
        let market = MarketId { chain_id: testbed.fixture.chain.chain_id, address: testbed.fixture.chain.market };
        let attacker = Attacker::of_pod(&testbed.client, &testbed.namespace, &uid, market, placed.order.id).await?;

        wait::until("a report is stored", wait::SOON, async || {
            let lines = evidence(testbed, &placed, attestor).await?.len();
            Ok(if lines > 1 { Ok(()) } else { Err(format!("{lines} lines of evidence")) })
        })
        .await?;
        refused(RejectReason::BadSignature, async || {
            attacker.forged(&evidence(testbed, &placed, attestor).await?).await
        })
        .await?;
        refused(RejectReason::Stale, async || attacker.replayed(&evidence(testbed, &placed, attestor).await?).await)
            .await?;
        refused(RejectReason::OutOfBounds, async || {
            attacker.exaggerated(&evidence(testbed, &placed, attestor).await?).await
        })
        .await?;

        let told = |job: &hawser_crds::ComputeJob| {
            let usage = job.status.as_ref().and_then(|status| status.usage.clone()).unwrap_or_default();
            usage.vouchers_rejected >= 3 && usage.last_rejection.is_some()
        };
        placed.order.when(&testbed.client, "tells of three refusals", wait::SOON, told).await?;
        placed.order.over(&testbed.client).await?;
        let used = testbed.fixture.chain.job(placed.order.id).await?.used;
        ensure!(used < 100, "{used} GPU-seconds were claimed for 45 s on one GPU");
        let after = testbed.credits().await?;
        placed.order.assert_settled(&testbed.fixture, &placed.before, &after, placed.deposit).await?;
        Ok(())
    })
    .await
}

/// The honest meter reports in between: until the attacker's report was the next one, it is refused for that, and until
/// the meter is slower than the attacker, the attacker's stream ends without an answer.
async fn refused(wanted: RejectReason, mut attack: impl AsyncFnMut() -> Result<Option<Rejected>>) -> Result<()> {
    wait::until(&format!("a report is refused as {wanted:?}"), wait::SOON, async || {
        Ok(match attack().await? {
            Some(rejected) if reason(&rejected) == wanted => Ok(()),
            Some(rejected) => Err(format!("{rejected:?}")),
            None => Err("the stream ended without an answer".to_owned()),
        })
    })
    .await
}

async fn evidence(testbed: &Testbed, placed: &Placed, attestor: Address) -> Result<Vec<Line>> {
    let path = evidence_path(placed.order.id, attestor, 0);
    let url = format!("{}/evidence/{path}", testbed.fixture.environment.s3_url);
    let text = reqwest::get(url).await?.error_for_status()?.text().await?;
    text.lines().map(|line| Ok(Line::parse(line)?)).collect()
}
