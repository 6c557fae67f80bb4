//! Somebody tears a job away from an operator that isn't there to settle it.

use anyhow::{Context, Result, ensure};
use hawser_e2e::cluster::jobs;
use hawser_e2e::{operator, wait};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

use super::twice::read_again;
use crate::testbed::{Testbed, sleep};

#[tokio::test]
async fn a_pod_whose_jobs_finalizer_was_removed_by_hand_goes_and_what_it_used_is_paid() -> Result<()> {
    Testbed::with_gpus("torn", 1, async |testbed| {
        let placed = testbed.order(&testbed.job_spec(1, 900, &sleep(900))).await?;
        placed.order.running(&testbed.client).await?;
        placed.order.attested(&testbed.client).await?;
        let (jobs, name) = (jobs(&testbed.client, &testbed.namespace), placed.order.name());
        operator::stop(&testbed.client).await?;
        jobs.delete(&name, &DeleteParams::default()).await?;
        let none = json!({ "metadata": { "finalizers": null } });
        jobs.patch(&name, &PatchParams::default(), &Patch::Merge(&none)).await?;
        wait::gone(&jobs, &name, wait::SOON).await?;
        // Its own finalizer holds the pod, and with it the last voucher.
        let left = placed.order.pods(&testbed.client).await?.len();
        ensure!(left == 1, "{left} pods are left of a job that was torn away");
        // As after a crash: a stored cursor that lies behind the order would keep it from coming back, and leave its pod to
        // the sweep.
        read_again(testbed).await?;
        operator::start(&testbed.client).await?;

        // The order comes back from the chain, finds the pod that is on its way out, and settles what it says.
        let status = placed.order.over(&testbed.client).await?.status.unwrap_or_default();
        ensure!(status.reason.as_deref() == Some("PodDeleted"), "{status:?}");
        wait::until("the pod is gone", wait::SOON, async || {
            let left = placed.order.pods(&testbed.client).await?;
            Ok(left.first().map_or(Ok(()), |pod| Err(format!("its finalizers are {:?}", pod.metadata.finalizers))))
        })
        .await?;
        let after = testbed.credits().await?;
        let split = placed.order.assert_settled(&testbed.fixture, &placed.before, &after, placed.deposit).await?;
        ensure!(!split.provider.is_zero(), "nothing was paid for a job that ran: {split:?}");
        let starts = testbed.fixture.chain.starts(placed.order.id).await?;
        ensure!(starts == 1, "the job was started {starts} times");
        testbed.offers(1).await.context("its GPU is not for sale again")
    })
    .await
}
