use anyhow::{Result, ensure};
use hawser_crds::Phase;
use hawser_e2e::wait;
use hawser_e2e::world::jobs;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams};

use crate::scene::{Placed, Scene, sleep};

#[tokio::test]
async fn a_deleted_computejob_is_claimed_and_ended_on_chain_before_it_goes() -> Result<()> {
    Scene::with_gpus("deleted", 1, async |scene| {
        let placed = running(scene).await?;
        let api = jobs(&scene.client, &scene.namespace);
        api.delete(&placed.order.name(), &DeleteParams::default()).await?;
        wait::until("the ComputeJob is gone", wait::SOON, async || {
            let left = api.get_opt(&placed.order.name()).await?;
            Ok(left.map_or(Ok(()), |job| Err(format!("{:?}", job.status))))
        })
        .await?;
        paid_for_what_ran(scene, &placed).await?;
        let pods = placed.order.pods(&scene.client).await?;
        ensure!(pods.iter().all(|pod| pod.metadata.deletion_timestamp.is_some()), "the pod of a deleted job goes on");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_deleted_pod_ends_its_job_with_a_reason_and_what_it_used_is_paid() -> Result<()> {
    Scene::with_gpus("podless", 1, async |scene| {
        let placed = running(scene).await?;
        let pods: Api<Pod> = Api::namespaced(scene.client.clone(), &scene.namespace);
        for pod in placed.order.pods(&scene.client).await? {
            pods.delete(pod.metadata.name.as_deref().unwrap_or_default(), &DeleteParams::default()).await?;
        }
        let status = placed.order.over(&scene.client).await?.status.unwrap_or_default();
        ensure!(status.phase == Phase::Failed, "{status:?}");
        ensure!(status.reason.as_deref() == Some("PodDeleted"), "{status:?}");
        paid_for_what_ran(scene, &placed).await?;
        Ok(())
    })
    .await
}

async fn running(scene: &Scene) -> Result<Placed> {
    let placed = scene.order(&scene.wish(1, 300, &sleep(280))).await?;
    placed.order.running(&scene.client).await?;
    placed.order.attested(&scene.client).await?;
    Ok(placed)
}

async fn paid_for_what_ran(scene: &Scene, placed: &Placed) -> Result<()> {
    let after = scene.books().await?;
    let split = placed.order.assert_settled(&scene.world, &placed.before, &after, placed.deposit).await?;
    ensure!(!split.provider.is_zero(), "the provider was paid nothing for a job that ran");
    ensure!(!split.customer.is_zero(), "the customer got nothing back for a job that was cut short");
    Ok(())
}
