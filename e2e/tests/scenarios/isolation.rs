use anyhow::{Result, ensure};
use hawser_crds::{Egress, Phase};
use hawser_e2e::wait;
use hawser_local::network::{API_SERVICE, DNS_SERVICE, NODE};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, PostParams};
use serde_json::json;

use crate::testbed::Testbed;

/// What a stranger's program would try first: API server, by its Service and by the node, and kubelet.
fn forbidden() -> [(String, u16); 3] {
    [(API_SERVICE.to_string(), 443), (NODE.to_string(), 6443), (NODE.to_string(), 10_250)]
}

/// Ends with 9 where one of these can be reached.
fn reaches_none() -> String {
    let tries = forbidden().map(|(host, port)| format!("if nc -w 3 {host} {port} </dev/null; then exit 9; fi"));
    tries.join("; ")
}

#[tokio::test]
#[ignore = "not run here: a cluster of somebody else may not enforce NetworkPolicies"]
async fn a_job_reaches_nothing_of_the_cluster_whether_it_may_reach_the_internet_or_not() -> Result<()> {
    for (name, egress) in [("nowhere", Egress::None), ("outside", Egress::Internet)] {
        let may_ask_dns = egress == Egress::Internet;
        Testbed::offering(
            name,
            1,
            |spec| spec.isolation.egress = egress,
            async |testbed| {
                a_pod_of_nobody_reaches_it(testbed).await?;
                let dns = format!("nslookup kubernetes.default.svc.cluster.local {DNS_SERVICE}");
                let script = if may_ask_dns {
                    format!("{} ; {dns} || exit 8", reaches_none())
                } else {
                    format!("{} ; if {dns}; then exit 8; fi", reaches_none())
                };
                let placed = testbed.order(&testbed.job_spec(1, 120, &script)).await?;
                let status = placed.order.over(&testbed.client).await?.status.unwrap_or_default();
                ensure!(status.phase == Phase::Succeeded, "exit code 9: it reached the cluster; 8: DNS. {status:?}");
                Ok(())
            },
        )
        .await?;
    }
    Ok(())
}

/// The same program in a pod that no policy selects does reach it: that a job can't is its policy's doing.
async fn a_pod_of_nobody_reaches_it(testbed: &Testbed) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(testbed.client.clone(), &testbed.namespace);
    let pod = serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "nobody"},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
            "securityContext": {
                "runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}
            },
            "containers": [{
                "name": "nobody", "image": testbed.fixture.environment.povray_image,
                "command": ["/bin/sh", "-c", reaches_none()],
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            }],
        }
    }))?;
    pods.create(&PostParams::default(), &pod).await?;
    let ended = async || {
        let status = pods.get("nobody").await?.status.unwrap_or_default();
        let code = status
            .container_statuses
            .iter()
            .flatten()
            .find_map(|container| Some(container.state.as_ref()?.terminated.as_ref()?.exit_code));
        Ok(code.ok_or_else(|| format!("{:?}", status.phase)))
    };
    let code = wait::until("the pod of nobody has ended", wait::SOON, ended).await?;
    ensure!(code == 9, "a pod that no policy selects reached nothing (exit code {code}): the test shows nothing");
    Ok(())
}
