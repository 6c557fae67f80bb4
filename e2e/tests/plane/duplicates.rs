use anyhow::{Context, Result, ensure};
use hawser_crds::{ComputeJob, condition};
use hawser_e2e::{conditions, wait};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::json;

use crate::replica::Replica;
use crate::testbed::{OFFERS, START, SYSTEM, Testbed};

#[tokio::test]
async fn a_second_job_that_somebody_writes_for_an_order_is_refused_and_goes_when_deleted() -> Result<()> {
    let testbed = Testbed::new().await?;
    let jobs: Api<ComputeJob> = Api::namespaced(testbed.client.clone(), OFFERS);
    let address = format!("0x{}", "11".repeat(20));
    for name in ["first", "second"] {
        let job = json!({
            "apiVersion": "hawser.dev/v1alpha1", "kind": "ComputeJob", "metadata": {"name": name},
            "spec": {
                "offerRef": "none",
                "workload": {"image": "none", "gpus": 1},
                "source": {
                    "network": "none", "jobId": format!("0x{}", "22".repeat(32)), "customer": address, "seconds": 60,
                    "deposit": "1", "price": "1", "block": 1,
                },
            },
        });
        jobs.patch(name, &PatchParams::apply("tests").force(), &Patch::Apply(&job)).await?;
    }
    // Its network, which is not there, would tell of two that wait which is the operator's own.
    let accepted = json!({"status": {"acceptedAt": "2026-01-01T00:00:00Z"}});
    jobs.patch_status("first", &PatchParams::default(), &Patch::Merge(&accepted)).await?;
    testbed.pod("one").await?;
    let one = Replica::start(&testbed.plane, SYSTEM, "one", testbed.plane.address())?;
    one.says("leading", START).await?;
    let message = wait::until("the second job says that the order is the first one's", START, async || {
        let said = jobs.get("second").await?.status.unwrap_or_default().conditions;
        let refused = said.iter().find(|c| c.type_ == condition::FAILED && c.reason == "DuplicateOrder");
        Ok(refused.map(|c| c.message.clone()).ok_or_else(|| conditions::text(&said)))
    })
    .await
    .with_context(|| one.tail())?;
    ensure!(
        message.contains(&format!("belongs to ComputeJob {OFFERS}/first")),
        "it does not name the first: {message}"
    );
    let second = jobs.get("second").await?;
    ensure!(second.finalizers().is_empty(), "nothing is to be settled for it");
    let first = jobs.get("first").await?.status.unwrap_or_default();
    ensure!(first.reason.as_deref() != Some("DuplicateOrder"), "{}", conditions::text(&first.conditions));

    jobs.delete("second", &DeleteParams::default()).await?;
    wait::gone(&jobs, "second", START).await.with_context(|| one.tail())?;
    Ok(())
}
