//! NVIDIA's own parts on top of a double of the driver.

use anyhow::Result;

use crate::{Endpoints, Layout, process::Supervisor};

/// What [`install`] prepared.
#[derive(Clone, Debug, Default)]
pub struct Installed {
    /// TOML tables that containerd's configuration gets, for example
    /// `[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.nvidia]`.
    pub containerd_runtime: String,
    /// Tools that join the cluster's `PATH`.
    pub tools: Vec<std::path::PathBuf>,
}

/// Builds the parts and prepares the driver root, the CDI specification and the
/// container runtime's configuration. Called before containerd starts.
pub fn install(_layout: &Layout) -> Result<Installed> {
    Ok(Installed::default())
}

/// Starts the device plugin and GPU Feature Discovery once kubelet is up.
pub fn start(_layout: &Layout, _supervisor: &Supervisor, _endpoints: &Endpoints) -> Result<()> {
    Ok(())
}

/// Removes what [`install`] and [`start`] wrote outside the state directory.
/// Called by `down` when no process is left, and before `up` after a crash.
pub fn uninstall(_layout: &Layout) -> Result<()> {
    Ok(())
}
