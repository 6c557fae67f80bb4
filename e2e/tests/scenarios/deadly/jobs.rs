use anyhow::{Result, ensure};
use hawser_crds::{ComputeJob, Phase};
use hawser_e2e::{operator, wait};
use hawser_proto::pod::METER_CONTAINER;
use kube::ResourceExt;

use crate::testbed::{Placed, Testbed, sleep};

#[tokio::test]
async fn an_operator_killed_while_the_job_runs_changes_no_sum() -> Result<()> {
    Testbed::with_gpus("killed", 2, async |testbed| {
        let placed = testbed.order(&testbed.job_spec(2, 180, &sleep(25))).await?;
        placed.order.running(&testbed.client).await?;
        placed.order.attested(&testbed.client).await?;
        let pod = only_pod(testbed, &placed).await?;
        operator::kill(&testbed.client).await?;
        operator::leads(&testbed.client).await?;
        settles(testbed, &placed, Phase::Succeeded).await?;
        ensure!(only_pod(testbed, &placed).await.map_or(true, |now| now == pod), "another pod ran for the same order");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_operator_killed_between_the_last_voucher_and_the_claim_claims_once() -> Result<()> {
    Testbed::with_gpus("unclaimed", 2, async |testbed| {
        let placed = testbed.order(&testbed.job_spec(2, 180, &sleep(12))).await?;
        placed.order.running(&testbed.client).await?;
        // The container's end is in the status before its use is claimed: the claim is not mined before the next block.
        let ended = |job: &ComputeJob| job.status.as_ref().is_some_and(|status| status.container_finished_at.is_some());
        placed.order.when(&testbed.client, "has ended", wait::SOON, ended).await?;
        operator::kill(&testbed.client).await?;
        operator::leads(&testbed.client).await?;
        settles(testbed, &placed, Phase::Succeeded).await?;
        ensure!(
            testbed.fixture.chain.claims(placed.order.id).await? == 1,
            "the last voucher was claimed more than once"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_pod_that_ends_while_the_operator_is_down_is_still_paid() -> Result<()> {
    Testbed::with_gpus("unseen", 2, async |testbed| {
        let placed = testbed.order(&testbed.job_spec(2, 180, &sleep(15))).await?;
        placed.order.running(&testbed.client).await?;
        operator::stop(&testbed.client).await?;
        let over = async || {
            let pods = placed.order.pods(&testbed.client).await?;
            let phases: Vec<_> = pods.iter().filter_map(|pod| pod.status.as_ref()?.phase.clone()).collect();
            Ok(if phases == ["Succeeded"] { Ok(()) } else { Err(format!("{phases:?}")) })
        };
        wait::until("the pod ended unseen", wait::SOON, over).await?;
        operator::start(&testbed.client).await?;
        settles(testbed, &placed, Phase::Succeeded).await?;
        let used = testbed.fixture.chain.job(placed.order.id).await?.used;
        // Fifteen seconds on two GPUs, less what start and end may miss.
        ensure!((24..=40).contains(&used), "{used} GPU-seconds were paid for 15 s on 2 GPUs");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_program_that_begins_and_ends_while_no_operator_is_there_is_paid() -> Result<()> {
    Testbed::with_gpus("unbegun", 2, async |testbed| {
        let placed = testbed.order(&testbed.job_spec(2, 180, &sleep(4))).await?;
        // Kubelet starts the program a moment after it has seen this, and only an operator can tell meter when.
        wait::until("meter lets the program go", wait::SOON, async || {
            let pods = placed.order.pods(&testbed.client).await?;
            let released = pods.iter().any(|pod| {
                let containers = pod.status.iter().flat_map(|status| status.init_container_statuses.iter().flatten());
                containers
                    .into_iter()
                    .any(|container| container.name == METER_CONTAINER && container.started == Some(true))
            });
            Ok(if released { Ok(()) } else { Err(format!("{} pods", pods.len())) })
        })
        .await?;
        operator::kill(&testbed.client).await?;
        settles(testbed, &placed, Phase::Succeeded).await?;
        let used = testbed.fixture.chain.job(placed.order.id).await?.used;
        ensure!((6..=16).contains(&used), "{used} GPU-seconds were paid for 4 s on 2 GPUs");
        Ok(())
    })
    .await
}

async fn settles(testbed: &Testbed, placed: &Placed, phase: Phase) -> Result<()> {
    let status = placed.order.over(&testbed.client).await?.status.unwrap_or_default();
    ensure!(status.phase == phase, "{status:?}");
    let after = testbed.credits().await?;
    placed.order.assert_settled(&testbed.fixture, &placed.before, &after, placed.deposit).await?;
    let used = testbed.fixture.chain.job(placed.order.id).await?.used;
    let vouched = status.usage.unwrap_or_default().gpu_seconds;
    ensure!(used == vouched && used > 0, "the sidecar vouched for {vouched}, {used} were claimed");
    Ok(())
}

async fn only_pod(testbed: &Testbed, placed: &Placed) -> Result<String> {
    let pods = placed.order.pods(&testbed.client).await?;
    let [pod] = pods.as_slice() else { anyhow::bail!("{} pods", pods.len()) };
    Ok(pod.name_any())
}
