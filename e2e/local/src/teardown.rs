//! The way down. Every step works on whatever is there, so it also cleans up
//! after a crash at any point of the way up.

use std::{fs, io, os::unix::net::UnixStream, path::Path};

use anyhow::{Context as _, Result, bail};

use crate::{Layout, cgroup, device_plugins, leftovers, mounts, network, nvidia, sysctls};

/// Stops and removes everything, and fails if anything is left. Where nothing of the local cluster is, nothing is
/// touched: the machine may be another cluster's node.
///
/// Nothing is stopped in an orderly way, as nothing that it could save is kept.
pub(crate) fn run(layout: &Layout) -> Result<()> {
    if leftovers(layout)?.is_empty() {
        return Ok(());
    }
    cgroup::CLUSTER.kill_all()?;
    mounts::unmount_beneath(layout.state())?;
    network::delete()?;
    remove_plugins()?;
    sysctls::restore(layout)?;
    remove_strays(layout)?;
    cgroup::CLUSTER.delete()?;
    remove_tree(layout.state())?;
    match leftovers(layout)?.as_slice() {
        [] => Ok(()),
        left => bail!("the local cluster is down, but this is left of it: {}", left.join("; ")),
    }
}

/// What kubelet and the device plugin write to fixed places, unless another kubelet has come to use them.
fn remove_plugins() -> Result<()> {
    if device_plugins::a_kubelet_answers() {
        eprintln!("another kubelet runs on this machine: its folders for plugins stay as they are");
        return Ok(());
    }
    nvidia::uninstall()?;
    device_plugins::FOLDERS.iter().try_for_each(|folder| remove_tree(Path::new(folder)))
}

/// What containerd and CNI write to fixed places.
fn remove_strays(layout: &Layout) -> Result<()> {
    // libcni's cache: one file per network and sandbox.
    for path in entries("/var/lib/cni/results")? {
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("hawser-")) {
            remove_file(&path)?;
        }
    }
    // Sockets of shims that were killed; another containerd's still answer.
    for path in entries("/run/containerd/s")? {
        if UnixStream::connect(&path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
            remove_file(&path)?;
        }
    }
    // Links to containers' logs.
    for path in entries("/var/log/containers")? {
        if fs::read_link(&path).is_ok_and(|target| target.starts_with(layout.state())) {
            remove_file(&path)?;
        }
    }
    for dir in [
        "/var/lib/kubelet",
        "/var/log/containers",
        "/var/lib/cni/results",
        "/var/lib/cni",
        "/run/containerd/s",
        "/run/containerd",
    ] {
        // Only if it is empty, and so nobody else's.
        let _ = fs::remove_dir(dir);
    }
    Ok(())
}

fn entries(dir: &str) -> Result<Vec<std::path::PathBuf>> {
    match fs::read_dir(dir) {
        Ok(entries) => Ok(entries.filter_map(|entry| Some(entry.ok()?.path())).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| format!("{dir} can't be read")),
    }
}

fn remove_file(path: &Path) -> Result<()> {
    fs::remove_file(path).with_context(|| format!("{} can't be removed", path.display()))
}

fn remove_tree(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} can't be removed", path.display()))
        }
        _ => Ok(()),
    }
}
