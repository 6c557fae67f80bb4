//! The operator as a fault test sees it: something to kill.

use anyhow::{Context, Result, ensure};
use hawser_local::is_of_the_cluster;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use kube::{Client, ResourceExt};
use nix::errno::Errno;
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use serde_json::json;

use crate::wait;
use crate::world::{SYSTEM, is_not_found};

const SELECTOR: &str = "app.kubernetes.io/name=hawser";
/// Set by the replica that holds the lease, on its own pod.
const LEADER: &str = "hawser.dev/leader=true";

/// Kills the operator's process with SIGKILL and removes its pod, so that the next one starts without kubelet's
/// back-off. On a cluster of somebody else the process is out of reach, and the pod is deleted without grace instead.
///
/// # Errors
/// When there is no operator, or it doesn't go.
pub async fn kill(client: &Client) -> Result<()> {
    let names = names(client).await?;
    ensure!(!names.is_empty(), "there is no operator to kill");
    // One that follows a killed one may not have begun yet.
    wait::until("the operator's process is killed", wait::SOON, async || {
        let killed = kill_processes()?;
        Ok(if killed > 0 || !is_local() { Ok(()) } else { Err(format!("no process of {names:?} on this machine")) })
    })
    .await?;
    remove(client, &names).await
}

/// Removes pods whose processes are gone already, if they are still there.
async fn remove(client: &Client, names: &[String]) -> Result<()> {
    for name in names {
        match pods(client).delete(name, &DeleteParams::default().grace_period(0)).await {
            Err(error) if !is_not_found(&error) => return Err(error.into()),
            _ => {}
        }
    }
    wait::until("the killed operator is gone", wait::SOON, async || {
        let mut left = self::names(client).await?;
        left.retain(|name| names.contains(name));
        Ok(if left.is_empty() { Ok(()) } else { Err(left.join(", ")) })
    })
    .await
}

fn pods(client: &Client) -> Api<Pod> {
    Api::namespaced(client.clone(), SYSTEM)
}

async fn names(client: &Client) -> Result<Vec<String>> {
    let running = pods(client).list(&ListParams::default().labels(SELECTOR)).await?;
    Ok(running.iter().map(ResourceExt::name_any).collect())
}

/// The cluster runs on this machine, and so do its containers' processes.
pub fn is_local() -> bool {
    std::env::var_os("HAWSER_KUBECONFIG").is_none_or(|name| name.is_empty())
}

/// Kills the operator's processes on this machine and says how many there were.
fn kill_processes() -> Result<usize> {
    let mut killed = 0;
    for process in if is_local() { processes()? } else { Vec::new() } {
        match signal::kill(Pid::from_raw(process), Signal::SIGKILL) {
            Ok(()) => killed += 1,
            // It ended by itself just now.
            Err(Errno::ESRCH) => {}
            Err(error) => return Err(error).with_context(|| format!("process {process} can't be killed")),
        }
    }
    Ok(killed)
}

/// Processes of this machine's cluster that run the operator's program from its image.
fn processes() -> Result<Vec<i32>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").context("/proc can't be read")? {
        let Ok(entry) = entry else { continue };
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // A process that ended meanwhile has no program any more.
        let program = std::fs::read_link(entry.path().join("exe"));
        if program.is_ok_and(|program| program.ends_with("usr/local/bin/hawser-operator")) && is_of_the_cluster(pid) {
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
    // The Deployment's controller and kubelet end it too: whatever they have ended already is as it should be.
    let names = names(client).await?;
    kill_processes()?;
    remove(client, &names).await?;
    wait::until("no operator is left", wait::SOON, async || {
        let left = self::names(client).await?;
        Ok(if left.is_empty() { Ok(()) } else { Err(left.join(", ")) })
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

/// Waits until a replica leads: those that stand by are Ready, too.
///
/// # Errors
/// When it does not become ready.
pub async fn leads(client: &Client) -> Result<()> {
    wait::until("an operator leads", wait::SOON, async || {
        let leaders = format!("{SELECTOR},{LEADER}");
        let all = pods(client).list(&ListParams::default().labels(&leaders)).await?.items;
        let ready = all.iter().any(|pod| {
            let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
            pod.metadata.deletion_timestamp.is_none()
                && conditions.into_iter().any(|c| c.type_ == "Ready" && c.status == "True")
        });
        Ok(if ready { Ok(()) } else { Err(format!("{} pods have the leader's label, none is ready", all.len())) })
    })
    .await
}

async fn scale(client: &Client, replicas: u32) -> Result<()> {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), SYSTEM);
    let patch = Patch::Merge(json!({ "spec": { "replicas": replicas } }));
    deployments.patch("hawser", &PatchParams::default(), &patch).await.context("the operator can't be scaled")?;
    Ok(())
}
