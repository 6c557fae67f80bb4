//! The cgroup that every process of the cluster is born in.
//!
//! Membership is inherited and can't be left by a process that dies, forks or
//! changes its session, so the cgroup tells which processes are ours even when
//! every pid file is lost. kubelet's own tree of pods lies beneath it as well.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::poll::poll;

const NAME: &str = "hawser-local";
const ROOT: &str = "/sys/fs/cgroup";
const KILL_TIMEOUT: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(20);

/// kubelet's `cgroupRoot`.
pub(crate) const KUBELET_ROOT: &str = "/hawser-local";

/// The file that a process writes its pid to in order to become a component.
pub(crate) fn components_procs_file() -> Result<PathBuf> {
    let hierarchies = hierarchies()?;
    let tracking = tracking(&hierarchies).context("no cgroup hierarchy is mounted under /sys/fs/cgroup")?;
    Ok(tracking.join(NAME).join("components/cgroup.procs"))
}

/// Creates the cgroup in every hierarchy.
pub(crate) fn create() -> Result<()> {
    for hierarchy in hierarchies()? {
        let cgroup = hierarchy.join(NAME);
        let components = cgroup.join("components");
        fs::create_dir_all(&cgroup).with_context(|| format!("{} can't be created", cgroup.display()))?;
        // cgroup v1: a cpuset without CPUs takes no process.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if is_v1(&hierarchy) && hierarchy.join(file).is_file() {
                fs::write(cgroup.join(file), fs::read(hierarchy.join(file))?)?;
            }
        }
        // cgroup v2: children get only the controllers that are passed down.
        if !is_v1(&hierarchy) {
            let available = fs::read_to_string(hierarchy.join("cgroup.controllers"))?;
            let passed_down: Vec<_> = available.split_whitespace().map(|name| format!("+{name}")).collect();
            for level in [&hierarchy, &cgroup] {
                fs::write(level.join("cgroup.subtree_control"), passed_down.join(" "))
                    .with_context(|| format!("controllers can't be passed down from {}", level.display()))?;
            }
        }
        fs::create_dir_all(&components)?;
    }
    Ok(())
}

/// Kills every process in the cgroup and its descendants until none is left.
pub(crate) fn kill_all() -> Result<()> {
    let mut left = Vec::new();
    let gone = poll(KILL_TIMEOUT, POLL, || {
        left = processes()?;
        for pid in &left {
            // It may be gone already.
            let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
        }
        Ok(left.is_empty().then_some(()))
    })?;
    gone.with_context(|| format!("processes {left:?} survived SIGKILL for {} s", KILL_TIMEOUT.as_secs()))
}

/// The processes in the cgroup and its descendants.
pub(crate) fn processes() -> Result<Vec<i32>> {
    let mut pids = Vec::new();
    for hierarchy in hierarchies()? {
        collect(&hierarchy.join(NAME), &mut pids);
    }
    pids.sort_unstable();
    pids.dedup();
    // A zombie waits for its parent, which is not in our hands.
    pids.retain(|pid| crate::process::Identity::of(pid.cast_unsigned()).is_some());
    Ok(pids)
}

/// Removes the (empty) cgroup from every hierarchy.
pub(crate) fn delete() -> Result<()> {
    for hierarchy in hierarchies()? {
        remove(&hierarchy.join(NAME))?;
    }
    Ok(())
}

/// The cgroups that exist, in words.
pub(crate) fn remains() -> Result<Vec<String>> {
    Ok(hierarchies()?
        .iter()
        .map(|h| h.join(NAME))
        .filter(|path| path.exists())
        .map(|path| format!("cgroup {}", path.display()))
        .collect())
}

/// Mount points of cgroup v1 controllers, or the one of v2.
fn hierarchies() -> Result<Vec<PathBuf>> {
    let root = Path::new(ROOT);
    if root.join("cgroup.controllers").is_file() {
        return Ok(vec![root.to_owned()]);
    }
    let entries = fs::read_dir(root).with_context(|| format!("{ROOT} can't be read"))?;
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        // `cpu,cpuacct` has links of both names to it.
        .filter(|path| !path.is_symlink() && is_v1(path))
        .collect();
    found.sort();
    Ok(found)
}

fn is_v1(hierarchy: &Path) -> bool {
    hierarchy.join("tasks").is_file()
}

/// Pods are in every hierarchy, components in one is enough: `pids` on v1, as
/// it limits nothing unless told to.
fn tracking(hierarchies: &[PathBuf]) -> Option<&PathBuf> {
    hierarchies.iter().find(|path| path.ends_with("pids")).or_else(|| hierarchies.first())
}

fn collect(cgroup: &Path, pids: &mut Vec<i32>) {
    let procs = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    pids.extend(procs.lines().filter_map(|line| line.parse::<i32>().ok()));
    for child in children(cgroup) {
        collect(&child, pids);
    }
}

fn remove(cgroup: &Path) -> Result<()> {
    for child in children(cgroup) {
        remove(&child)?;
    }
    let removed = poll(KILL_TIMEOUT, POLL, || match fs::remove_dir(cgroup) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Some(())),
        // The kernel lets go of a killed process a moment after it is gone.
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => Ok(None),
        other => other.map(Some).with_context(|| format!("{} can't be removed", cgroup.display())),
    })?;
    removed.with_context(|| format!("{} is still in use after {} s", cgroup.display(), KILL_TIMEOUT.as_secs()))
}

fn children(cgroup: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(cgroup) else {
        return Vec::new();
    };
    entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir() && !path.is_symlink()).collect()
}
