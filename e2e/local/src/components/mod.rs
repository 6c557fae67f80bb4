//! What the cluster consists of: for each part how it is built, configured and
//! started. Pure but for the configuration files that are written.

mod containerd;
mod control_plane;
mod dns;
mod etcd;
mod netpol;
mod node;
mod services;
mod tools;

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

pub(crate) use containerd::{
    PAUSE_IMAGE, allow_plain_http, containerd, write_configuration as write_containerd_configuration,
};
pub(crate) use control_plane::{api_server, controller_manager, scheduler, write_audit_policy};
pub(crate) use dns::{coredns, write_corefile};
pub(crate) use etcd::etcd;
pub(crate) use netpol::{netpol, queue_connections};
pub(crate) use node::{kube_proxy, kubelet, write_configuration as write_node_configuration};
pub(crate) use services::{anvil, registry, s3, write_registry_configuration};
pub(crate) use tools::{Tools, control_plane, link};
pub use tools::{geth, helm, kubeconform};

/// The only node.
pub(crate) const NODE_NAME: &str = "hawser-0";

/// Writes a configuration file and the directories above it.
fn write(path: &Path, content: &str) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).with_context(|| format!("{} can't be created", parent.display()))?;
    }
    fs::write(path, content).with_context(|| format!("{} can't be written", path.display()))
}
