//! Namespaces whose administrators bound what may be in them.

use anyhow::{Context, Result};
use hawser_crds::{ComputeJob, condition};
use hawser_e2e::wait;
use k8s_openapi::api::core::v1::{LimitRange, ResourceQuota};
use kube::api::{Api, DeleteParams, PostParams};
use serde_json::json;

use crate::lifecycle::settles_to_the_last_unit;
use crate::tenants::canary_is_over;
use crate::testbed::{Testbed, sleep};

/// As much as the quick start for a provider says.
#[tokio::test]
async fn a_job_fits_into_a_quota_of_just_what_it_needs_beside_limits_for_each_container() -> Result<()> {
    Testbed::with_gpus("quota", 1, async |testbed| {
        canary_is_over(testbed).await?;
        // The program's own limits are 200m, 256Mi and 256Mi.
        let hard = json!({
            "requests.nvidia.com/gpu": "1", "requests.cpu": "2200m", "requests.memory": "768Mi",
            "limits.cpu": "2200m", "limits.memory": "768Mi", "limits.ephemeral-storage": "768Mi", "pods": "1",
        });
        quotas(testbed).create(&PostParams::default(), &quota(&hard)?).await?;
        let limits = json!({
            "type": "Container", "min": {"cpu": "10m", "memory": "32Mi"},
            "default": {"cpu": "500m", "memory": "256Mi"}, "defaultRequest": {"cpu": "100m", "memory": "64Mi"},
        });
        ranges(testbed).create(&PostParams::default(), &range(&limits)?).await?;
        let placed = testbed.order(&testbed.job_spec(1, 60, &sleep(5))).await?;
        settles_to_the_last_unit(testbed, &placed).await
    })
    .await
}

#[tokio::test]
async fn a_quota_and_a_limit_range_that_refuse_a_job_are_quoted_and_once_they_are_gone_it_runs() -> Result<()> {
    Testbed::with_gpus("refusing", 1, async |testbed| {
        canary_is_over(testbed).await?;
        quotas(testbed).create(&PostParams::default(), &quota(&json!({"requests.nvidia.com/gpu": "0"}))?).await?;
        let limits = json!({"type": "Container", "min": {"cpu": "50m", "memory": "64Mi"}});
        ranges(testbed).create(&PostParams::default(), &range(&limits)?).await?;
        let placed = testbed.order(&testbed.job_spec(1, 60, &sleep(5))).await?;
        let quotes = async |words: &str| {
            let what = format!("says that its pod is refused: {words}");
            let told = |job: &ComputeJob| is_refused(job, words);
            placed.order.when(&testbed.client, &what, wait::SOON, told).await
        };
        quotes("minimum cpu usage per Container is 50m").await.context("the limit range")?;
        ranges(testbed).delete(NAME, &DeleteParams::default()).await?;
        quotes("exceeded quota").await.context("the quota")?;
        quotas(testbed).delete(NAME, &DeleteParams::default()).await?;
        settles_to_the_last_unit(testbed, &placed).await
    })
    .await
}

const NAME: &str = "bounds";

fn quotas(testbed: &Testbed) -> Api<ResourceQuota> {
    Api::namespaced(testbed.client.clone(), &testbed.namespace)
}

fn ranges(testbed: &Testbed) -> Api<LimitRange> {
    Api::namespaced(testbed.client.clone(), &testbed.namespace)
}

fn quota(hard: &serde_json::Value) -> Result<ResourceQuota> {
    Ok(serde_json::from_value(json!({"metadata": {"name": NAME}, "spec": {"hard": hard}}))?)
}

fn range(limits: &serde_json::Value) -> Result<LimitRange> {
    Ok(serde_json::from_value(json!({"metadata": {"name": NAME}, "spec": {"limits": [limits]}}))?)
}

fn is_refused(job: &ComputeJob, words: &str) -> bool {
    let conditions = job.status.iter().flat_map(|status| &status.conditions);
    let mut scheduled = conditions.filter(|told| told.type_ == condition::SCHEDULED);
    scheduled.any(|told| told.status == "False" && told.reason == "PodRefused" && told.message.contains(words))
}
