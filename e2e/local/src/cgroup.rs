//! The cgroup that every process of the cluster is born in, and that of a [`World`](crate::World).
//!
//! Membership is inherited and can't be left by a process that dies, forks or
//! changes its session, so the cgroup tells which processes are ours even when
//! every pid file is lost. kubelet's own tree of pods lies beneath the cluster's as well.

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

const ROOT: &str = "/sys/fs/cgroup";
const KILL_TIMEOUT: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(20);

/// kubelet's `cgroupRoot`.
pub(crate) const KUBELET_ROOT: &str = "/hawser-local";
/// The cluster's.
pub(crate) const CLUSTER: Cgroup<'static> = Cgroup("hawser-local");

/// One cgroup of this name in each hierarchy, beneath its root.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cgroup<'a>(pub(crate) &'a str);

/// The file that a process writes its pid to in order to become a component.
pub(crate) fn components_procs_file() -> Result<PathBuf> {
    let hierarchies = hierarchies()?;
    let tracking = tracking(&hierarchies).context("no cgroup hierarchy is mounted under /sys/fs/cgroup")?;
    Ok(CLUSTER.beneath(tracking).join("components/cgroup.procs"))
}

/// Creates the cluster's cgroup with room for components and pods.
pub(crate) fn create() -> Result<()> {
    CLUSTER.create()?;
    for hierarchy in hierarchies()? {
        let cgroup = CLUSTER.beneath(&hierarchy);
        if is_only(&hierarchy) {
            pass_controllers_down(&cgroup)?;
        }
        fs::create_dir_all(cgroup.join("components"))?;
    }
    Ok(())
}

/// Whether a process is one of this machine's cluster: a component, or of a pod. A cluster in a [`World`](crate::World)
/// is another machine's.
pub fn is_of_the_cluster(pid: i32) -> bool {
    // A process that ended meanwhile is in none.
    is_beneath(KUBELET_ROOT, &fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default())
}

/// `memberships` has lines such as `8:pids:/hawser-local/components`.
fn is_beneath(cgroup: &str, memberships: &str) -> bool {
    let mut paths = memberships.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    paths.any(|path| Path::new(path).starts_with(cgroup))
}

impl Cgroup<'_> {
    fn beneath(self, hierarchy: &Path) -> PathBuf {
        hierarchy.join(self.0)
    }

    /// Creates it in every hierarchy, ready to take processes.
    pub(crate) fn create(self) -> Result<()> {
        for hierarchy in hierarchies()? {
            let cgroup = self.beneath(&hierarchy);
            fs::create_dir_all(&cgroup).with_context(|| format!("{} can't be created", cgroup.display()))?;
            // cgroup v1: a cpuset without CPUs takes no process.
            for file in ["cpuset.cpus", "cpuset.mems"] {
                if !is_only(&hierarchy) && hierarchy.join(file).is_file() {
                    fs::write(cgroup.join(file), fs::read(hierarchy.join(file))?)?;
                }
            }
            // cgroup v2: children get only the controllers that are passed down.
            if is_only(&hierarchy) {
                pass_controllers_down(&hierarchy)?;
            }
        }
        Ok(())
    }

    /// Gives it the weight of this many processes that are in no such group.
    pub(crate) fn weigh(self, processes: u64) -> Result<()> {
        for hierarchy in hierarchies()? {
            for (file, one) in [("cpu.shares", 1024), ("cpu.weight", 100)] {
                let file = self.beneath(&hierarchy).join(file);
                if file.is_file() {
                    fs::write(&file, (processes * one).to_string())
                        .with_context(|| format!("{} can't be written", file.display()))?;
                }
            }
        }
        Ok(())
    }

    /// Kills every process in the cgroup and its descendants until none is left.
    pub(crate) fn kill_all(self) -> Result<()> {
        let mut left = Vec::new();
        let gone = poll(KILL_TIMEOUT, POLL, || {
            left = self.processes()?;
            for pid in &left {
                // It may be gone already.
                let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
            }
            Ok(left.is_empty().then_some(()))
        })?;
        gone.with_context(|| format!("processes {left:?} survived SIGKILL for {} s", KILL_TIMEOUT.as_secs()))
    }

    /// The processes in the cgroup and its descendants.
    pub(crate) fn processes(self) -> Result<Vec<i32>> {
        let mut pids = Vec::new();
        for hierarchy in hierarchies()? {
            collect(&self.beneath(&hierarchy), &mut pids);
        }
        pids.sort_unstable();
        pids.dedup();
        // A zombie waits for its parent, which is not in our hands.
        pids.retain(|pid| crate::process::Identity::of(pid.cast_unsigned()).is_some());
        Ok(pids)
    }

    /// Removes the (empty) cgroup from every hierarchy.
    pub(crate) fn delete(self) -> Result<()> {
        hierarchies()?.iter().try_for_each(|hierarchy| remove(&self.beneath(hierarchy)))
    }

    /// The cgroups that exist, in words.
    pub(crate) fn remains(self) -> Result<Vec<String>> {
        Ok(hierarchies()?
            .iter()
            .map(|hierarchy| self.beneath(hierarchy))
            .filter(|path| path.exists())
            .map(|path| format!("cgroup {}", path.display()))
            .collect())
    }
}

/// cgroup v2: to the children of `cgroup`.
fn pass_controllers_down(cgroup: &Path) -> Result<()> {
    let available = fs::read_to_string(cgroup.join("cgroup.controllers"))?;
    let passed_down: Vec<_> = available.split_whitespace().map(|name| format!("+{name}")).collect();
    fs::write(cgroup.join("cgroup.subtree_control"), passed_down.join(" "))
        .with_context(|| format!("controllers can't be passed down from {}", cgroup.display()))
}

/// Mount points of cgroup v1 controllers, and of v2 if it is mounted beside them; or the one of v2.
fn hierarchies() -> Result<Vec<PathBuf>> {
    let root = Path::new(ROOT);
    if root.join("cgroup.controllers").is_file() {
        return Ok(vec![root.to_owned()]);
    }
    let entries = fs::read_dir(root).with_context(|| format!("{ROOT} can't be read"))?;
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        // `cpu,cpuacct` has links of both names to it.
        .filter(|path| !path.is_symlink() && path.join("cgroup.procs").is_file())
        .collect();
    found.sort();
    Ok(found)
}

/// cgroup v2 without any v1: the one hierarchy has all controllers.
fn is_only(hierarchy: &Path) -> bool {
    hierarchy == Path::new(ROOT)
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

#[cfg(test)]
mod tests {
    use super::is_beneath;

    #[test]
    fn a_process_of_another_worlds_cluster_is_not_of_this_one() {
        for (memberships, expected) in [
            ("9:name=systemd:/\n8:pids:/hawser-local/components\n0::/\n", true),
            ("8:pids:/hawser-local/kubepods/besteffort/pod1/2\n", true),
            ("0::/hawser-local/kubepods\n", true),
            ("8:pids:/hawser-world-second/hawser-local/kubepods\n", false),
            ("8:pids:/hawser-localhost\n", false),
            ("0::/\n", false),
            ("", false),
        ] {
            assert_eq!(is_beneath("/hawser-local", memberships), expected, "{memberships}");
        }
    }
}
