//! The operator as a fault test sees it: replicas to kill, to freeze and to roll out.

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

use crate::cluster::{SYSTEM, is_not_found};
use crate::wait;

const SELECTOR: &str = "app.kubernetes.io/name=hawser";
/// As many as the chart is installed with: one leads, the other stands by.
pub const REPLICAS: i32 = 2;
/// Set by the replica that holds the lease, on its own pod.
const LEADER: &str = "hawser.dev/leader=true";

/// Kills the processes of all replicas with SIGKILL and removes their pods, so that the next ones start without kubelet's
/// back-off. On a cluster of somebody else processes are out of reach, and pods are deleted without grace instead.
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

/// The same with the replica that leads only, and waits until another one does.
///
/// # Errors
/// When none leads, or no other one does in time.
pub async fn kill_leader(client: &Client) -> Result<()> {
    let leader = leader(client).await?;
    if is_local() {
        send(&processes_of(&leader)?, Signal::SIGKILL)?;
    }
    remove(client, &[leader.name_any()]).await?;
    another_leads(client, &leader).await
}

/// Stops the process that leads, as a machine that hangs does: its connections stay open. Returns once another replica
/// leads, with what wakes it up again when it is dropped.
///
/// # Errors
/// When none leads, or no other one does in time.
pub async fn freeze_leader(client: &Client) -> Result<Frozen> {
    let leader = leader(client).await?;
    let frozen = Frozen(processes_of(&leader)?);
    ensure!(send(&frozen.0, Signal::SIGSTOP)? > 0, "no process of {} on this machine", leader.name_any());
    another_leads(client, &leader).await?;
    Ok(frozen)
}

/// Processes that were stopped.
#[derive(Debug)]
pub struct Frozen(Vec<i32>);

impl Drop for Frozen {
    fn drop(&mut self) {
        // Kubelet may have killed it for its silence.
        _ = send(&self.0, Signal::SIGCONT);
    }
}

/// Replaces all replicas as a new version of the chart does, and waits until only new ones are there and one leads.
///
/// # Errors
/// When the new ones don't become ready in time.
pub async fn roll_out(client: &Client) -> Result<()> {
    let leader = leader(client).await?;
    let old = names(client).await?;
    let annotation = json!({ "hawser.dev/rolled-out-after": leader.name_any() });
    let patch = json!({ "spec": { "template": { "metadata": { "annotations": annotation } } } });
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), SYSTEM);
    deployments.patch("hawser", &PatchParams::default(), &Patch::Merge(&patch)).await?;
    wait::until("the rollout is complete", wait::SOON, async || {
        let deployment = deployments.get("hawser").await?;
        let (generation, status) = (deployment.metadata.generation, deployment.status.unwrap_or_default());
        let left: Vec<_> = names(client).await?.into_iter().filter(|name| old.contains(name)).collect();
        let complete = status.observed_generation == generation
            && status.updated_replicas == Some(REPLICAS)
            && status.available_replicas == Some(REPLICAS)
            && left.is_empty();
        Ok(if complete { Ok(()) } else { Err(format!("{left:?} are left, {status:?}")) })
    })
    .await?;
    another_leads(client, &leader).await
}

/// The pod of the replica that leads, once there is one.
async fn leader(client: &Client) -> Result<Pod> {
    wait::until("an operator leads", wait::SOON, async || {
        let leaders = leaders(client).await?;
        Ok(match <[Pod; 1]>::try_from(leaders) {
            Ok([leader]) => Ok(leader),
            Err(leaders) => Err(format!("{} pods lead", leaders.len())),
        })
    })
    .await
}

async fn another_leads(client: &Client, old: &Pod) -> Result<()> {
    wait::until("another replica leads", wait::SOON, async || {
        let leaders: Vec<_> = leaders(client).await?.iter().map(ResourceExt::name_any).collect();
        let new = leaders.iter().any(|name| *name != old.name_any());
        Ok(if new { Ok(()) } else { Err(format!("after {} these lead: {leaders:?}", old.name_any())) })
    })
    .await
}

/// Pods that have the leader's label, are Ready and stay.
async fn leaders(client: &Client) -> Result<Vec<Pod>> {
    let mut leaders = pods(client).list(&ListParams::default().labels(&format!("{SELECTOR},{LEADER}"))).await?.items;
    leaders.retain(|pod| {
        let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
        pod.metadata.deletion_timestamp.is_none()
            && conditions.into_iter().any(|c| c.type_ == "Ready" && c.status == "True")
    });
    Ok(leaders)
}

/// Kills the operator's processes on this machine and says how many there were.
fn kill_processes() -> Result<usize> {
    send(&if is_local() { processes()? } else { Vec::new() }, Signal::SIGKILL)
}

/// Says how many of these processes the signal has reached.
fn send(processes: &[i32], signal: Signal) -> Result<usize> {
    let mut reached = 0;
    for process in processes {
        match signal::kill(Pid::from_raw(*process), signal) {
            Ok(()) => reached += 1,
            // It ended by itself just now.
            Err(Errno::ESRCH) => {}
            Err(error) => return Err(error).with_context(|| format!("process {process} gets no {signal}")),
        }
    }
    Ok(reached)
}

/// Those of the operator's processes that run in `pod`: its UID stands in the path of their cgroup.
fn processes_of(pod: &Pod) -> Result<Vec<i32>> {
    let uid = pod.uid().context("a pod without a UID")?;
    let mut found = processes()?;
    found.retain(|process| {
        std::fs::read_to_string(format!("/proc/{process}/cgroup")).is_ok_and(|groups| groups.contains(&uid))
    });
    Ok(found)
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
    none_is_left(client).await
}

/// Waits until no pod of the operator is there.
///
/// # Errors
/// When some stay.
pub(crate) async fn none_is_left(client: &Client) -> Result<()> {
    wait::until("no operator is left", wait::SOON, async || {
        let left = names(client).await?;
        Ok(if left.is_empty() { Ok(()) } else { Err(left.join(", ")) })
    })
    .await
}

/// Brings the operator back and waits until it leads.
///
/// # Errors
/// When it does not become ready.
pub async fn start(client: &Client) -> Result<()> {
    scale(client, REPLICAS).await?;
    leads(client).await
}

/// Waits until a replica leads: those that stand by are Ready, too.
///
/// # Errors
/// When it does not become ready.
pub async fn leads(client: &Client) -> Result<()> {
    leader(client).await?;
    Ok(())
}

async fn scale(client: &Client, replicas: i32) -> Result<()> {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), SYSTEM);
    let patch = Patch::Merge(json!({ "spec": { "replicas": replicas } }));
    deployments.patch("hawser", &PatchParams::default(), &patch).await.context("the operator can't be scaled")?;
    Ok(())
}
