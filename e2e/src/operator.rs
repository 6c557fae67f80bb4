//! The operator as a fault test sees it: something to kill.

use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use kube::{Client, ResourceExt};
use serde_json::json;

use crate::wait;
use crate::world::SYSTEM;

const SELECTOR: &str = "app.kubernetes.io/name=hawser";

/// Kills the operator's process with SIGKILL and removes its pod, so that the next one starts without kubelet's
/// back-off. On a cluster of somebody else the process is out of reach, and the pod is deleted without grace instead.
///
/// # Errors
/// When there is no operator, or it doesn't go.
pub async fn kill(client: &Client) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), SYSTEM);
    let running = pods.list(&ListParams::default().labels(SELECTOR)).await?.items;
    let names: Vec<String> = running.iter().map(ResourceExt::name_any).collect();
    anyhow::ensure!(!names.is_empty(), "there is no operator to kill");
    if std::env::var_os("HAWSER_KUBECONFIG").is_none() {
        let processes = processes()?;
        anyhow::ensure!(!processes.is_empty(), "the operator's pod is there, but no process of it on this machine");
        for process in processes {
            crate::run::stdout("kill", &["-KILL", &process.to_string()]).await?;
        }
    }
    for name in &names {
        pods.delete(name, &DeleteParams::default().grace_period(0)).await?;
    }
    wait::until("the killed operator is gone", Duration::from_secs(30), async || {
        let left = pods.list(&ListParams::default().labels(SELECTOR)).await?.items;
        let left: Vec<String> = left.iter().map(ResourceExt::name_any).filter(|name| names.contains(name)).collect();
        Ok(if left.is_empty() { Ok(()) } else { Err(left.join(", ")) })
    })
    .await
}

/// Processes on this machine that run the operator's program from its image.
fn processes() -> Result<Vec<u32>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").context("/proc can't be read")? {
        let Ok(entry) = entry else { continue };
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // A process that ended meanwhile has no program any more.
        let program = std::fs::read_link(entry.path().join("exe"));
        if program.is_ok_and(|program| program.ends_with("usr/local/bin/hawser-operator")) {
            found.push(pid);
        }
    }
    Ok(found)
}

/// Keeps the operator away until [`start`].
///
/// # Errors
/// When it doesn't go.
pub async fn stop(client: &Client) -> Result<()> {
    scale(client, 0).await?;
    kill(client).await.or_else(|error| {
        // The Deployment's controller may have been faster.
        if error.to_string().contains("no operator") { Ok(()) } else { Err(error) }
    })?;
    let pods: Api<Pod> = Api::namespaced(client.clone(), SYSTEM);
    wait::until("no operator is left", Duration::from_mins(1), async || {
        let left = pods.list(&ListParams::default().labels(SELECTOR)).await?.items.len();
        Ok(if left == 0 { Ok(()) } else { Err(format!("{left} pods")) })
    })
    .await
}

/// Brings the operator back and waits until it leads.
///
/// # Errors
/// When it does not become ready.
pub async fn start(client: &Client) -> Result<()> {
    scale(client, 1).await?;
    leads(client).await
}

/// Waits until the operator is available.
///
/// # Errors
/// When it does not become ready.
pub async fn leads(client: &Client) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), SYSTEM);
    wait::until("an operator is ready", Duration::from_secs(90), async || {
        let all = pods.list(&ListParams::default().labels(SELECTOR)).await?.items;
        let ready = all.iter().any(|pod| {
            let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
            pod.metadata.deletion_timestamp.is_none()
                && conditions.into_iter().any(|c| c.type_ == "Ready" && c.status == "True")
        });
        Ok(if ready { Ok(()) } else { Err(format!("{} pods, none ready", all.len())) })
    })
    .await
}

async fn scale(client: &Client, replicas: u32) -> Result<()> {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), SYSTEM);
    let patch = Patch::Merge(json!({ "spec": { "replicas": replicas } }));
    deployments.patch("hawser", &PatchParams::default(), &patch).await.context("the operator can't be scaled")?;
    Ok(())
}
