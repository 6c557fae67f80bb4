//! A cluster that adds a container of its own to every pod, as service meshes do, and does not heed the annotations that ask it
//! to leave jobs alone.

use anyhow::{Result, ensure};
use hawser_e2e::cluster;
use hawser_e2e::environment::Environment;
use k8s_openapi::api::admissionregistration::v1beta1::{MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use kube::{Client, ResourceExt};
use serde_json::json;

use crate::lifecycle::settles_to_the_last_unit;
use crate::tenants::canary_is_over;
use crate::testbed::{Testbed, sleep};

const NAME: &str = "injected";
/// Kubelet tells of containers by their names' order: this one comes first.
const PROXY: &str = "a-proxy";

#[tokio::test]
#[ignore = "not run here: a cluster of somebody else may not know the policy that adds a container"]
async fn a_container_that_the_cluster_adds_to_every_pod_keeps_no_gpu_and_costs_nobody_anything() -> Result<()> {
    let client = cluster::client().await?;
    inject(&client).await?;
    Testbed::with_gpus(NAME, 1, async |testbed| {
        // The canary has ended though the proxy beside it runs on.
        canary_is_over(testbed).await?;
        let placed = testbed.order(&testbed.job_spec(1, 120, &sleep(12))).await?;
        placed.order.running(&testbed.client).await?;
        for pod in placed.order.pods(&testbed.client).await? {
            ensure!(is_injected(&pod), "{} has no container {PROXY}", pod.name_any());
        }
        settles_to_the_last_unit(testbed, &placed).await
    })
    .await?;
    let params = DeleteParams::default();
    Api::<MutatingAdmissionPolicyBinding>::all(client.clone()).delete(NAME, &params).await?;
    Api::<MutatingAdmissionPolicy>::all(client).delete(NAME, &params).await?;
    Ok(())
}

/// Has the API server add a container to each pod of the testbed's namespace.
async fn inject(client: &Client) -> Result<()> {
    let policy: MutatingAdmissionPolicy = serde_json::from_value(json!({
        "metadata": {"name": NAME},
        "spec": {
            "matchConstraints": {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": format!("e2e-{NAME}")}},
                "resourceRules": [{
                    "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]
                }],
            },
            "failurePolicy": "Fail",
            "reinvocationPolicy": "Never",
            // The image is one that the pod has anyway.
            "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": format!(
                r#"[JSONPatch{{op: "add", path: "/spec/containers/-", value: Object.spec.containers{{
                    name: "{PROXY}",
                    image: "{image}",
                    command: ["/bin/sh", "-c", "trap 'exit 0' TERM; while :; do sleep 300 & wait $!; done"],
                    securityContext: Object.spec.containers.securityContext{{
                        allowPrivilegeEscalation: false,
                        capabilities: Object.spec.containers.securityContext.capabilities{{drop: ["ALL"]}}
                    }}
                }}}}]"#,
                image = Environment::read()?.povray_image,
            )}}],
        }
    }))?;
    let binding: MutatingAdmissionPolicyBinding =
        serde_json::from_value(json!({"metadata": {"name": NAME}, "spec": {"policyName": NAME}}))?;
    // It may stand there from a run that failed.
    let params = PatchParams::apply("e2e").force();
    Api::<MutatingAdmissionPolicy>::all(client.clone()).patch(NAME, &params, &Patch::Apply(&policy)).await?;
    Api::<MutatingAdmissionPolicyBinding>::all(client.clone()).patch(NAME, &params, &Patch::Apply(&binding)).await?;
    Ok(())
}

fn is_injected(pod: &Pod) -> bool {
    pod.spec.iter().flat_map(|spec| &spec.containers).any(|container| container.name == PROXY)
}
