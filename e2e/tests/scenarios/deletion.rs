use anyhow::{Result, ensure};
use hawser_crds::{GpuOffer, Phase, condition};
use hawser_e2e::cluster::jobs;
use hawser_e2e::doubles::endpoint::Trouble;
use hawser_e2e::{conditions, network, wait};
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use serde_json::json;

use crate::faults::behind_an_endpoint;
use crate::testbed::{OFFER, Placed, Testbed, sleep};

#[tokio::test]
async fn a_deleted_computejob_is_claimed_and_ended_on_chain_before_it_goes() -> Result<()> {
    Testbed::with_gpus("deleted", 1, async |testbed| {
        let placed = running(testbed).await?;
        let api = jobs(&testbed.client, &testbed.namespace);
        api.delete(&placed.order.name(), &DeleteParams::default()).await?;
        wait::gone(&api, &placed.order.name(), wait::SOON).await?;
        paid_for_what_ran(testbed, &placed).await?;
        let pods = placed.order.pods(&testbed.client).await?;
        ensure!(pods.iter().all(|pod| pod.metadata.deletion_timestamp.is_some()), "the pod of a deleted job goes on");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_deleted_pod_ends_its_job_with_a_reason_and_what_it_used_is_paid() -> Result<()> {
    Testbed::with_gpus("podless", 1, async |testbed| {
        let placed = running(testbed).await?;
        let pods: Api<Pod> = Api::namespaced(testbed.client.clone(), &testbed.namespace);
        for pod in placed.order.pods(&testbed.client).await? {
            pods.delete(pod.metadata.name.as_deref().unwrap_or_default(), &DeleteParams::default()).await?;
        }
        let status = placed.order.over(&testbed.client).await?.status.unwrap_or_default();
        ensure!(status.phase == Phase::Failed, "{status:?}");
        ensure!(status.reason.as_deref() == Some("PodDeleted"), "{status:?}");
        paid_for_what_ran(testbed, &placed).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
#[ignore = "not run here: only the local cluster's pods reach the endpoint"]
async fn what_a_lost_chain_holds_goes_once_its_money_is_given_up_by_annotation() -> Result<()> {
    behind_an_endpoint("abandoned", 1, async |testbed, endpoint| {
        let placed = running(testbed).await?;
        endpoint.set(Trouble::Away).await?;
        network::says(&testbed.client, testbed.fixture.network(), condition::CONNECTED, "Unreachable").await?;
        let jobs = jobs(&testbed.client, &testbed.namespace);
        let offers: Api<GpuOffer> = Api::namespaced(testbed.client.clone(), &testbed.namespace);
        let (job, params) = (placed.order.name(), DeleteParams::default());
        jobs.delete(&job, &params).await?;
        offers.delete(OFFER, &params).await?;

        wait::until("the job says what it waits for", wait::SOON, async || {
            let conditions = jobs.get(&job).await?.status.unwrap_or_default().conditions;
            let said = conditions.iter().any(|c| c.message.contains("hawser.dev/abandon"));
            Ok(if said { Ok(()) } else { Err(conditions::text(&conditions)) })
        })
        .await?;
        let abandon = Patch::Merge(json!({ "metadata": { "annotations": { "hawser.dev/abandon": "true" } } }));
        jobs.patch(&job, &PatchParams::default(), &abandon).await?;
        wait::gone(&jobs, &job, wait::SOON).await?;
        offers.patch(OFFER, &PatchParams::default(), &abandon).await?;
        wait::gone(&offers, OFFER, wait::SOON).await?;
        let events: Api<Event> = Api::namespaced(testbed.client.clone(), &testbed.namespace);
        let told: Vec<_> = events.list(&ListParams::default()).await?.items;
        let told: Vec<_> = told.iter().filter(|event| event.reason.as_deref() == Some("Abandoned")).collect();
        ensure!(told.len() == 2, "what was given up is reported in {} events", told.len());
        endpoint.set(Trouble::None).await
    })
    .await
}

async fn running(testbed: &Testbed) -> Result<Placed> {
    let placed = testbed.order(&testbed.job_spec(1, 300, &sleep(280))).await?;
    placed.order.running(&testbed.client).await?;
    placed.order.attested(&testbed.client).await?;
    Ok(placed)
}

async fn paid_for_what_ran(testbed: &Testbed, placed: &Placed) -> Result<()> {
    let after = testbed.credits().await?;
    let split = placed.order.assert_settled(&testbed.fixture, &placed.before, &after, placed.deposit).await?;
    ensure!(!split.provider.is_zero(), "the provider was paid nothing for a job that ran");
    ensure!(!split.customer.is_zero(), "the customer got nothing back for a job that was cut short");
    Ok(())
}
