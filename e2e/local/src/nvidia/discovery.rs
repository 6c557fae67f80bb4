//! NVIDIA's GPU Feature Discovery: what the node's labels say about its cards.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result};

use super::{Parts, driver::DriverRoot};
use crate::{Layout, components::NODE_NAME, kubectl::kubectl, output, succeed};

/// Runs GPU Feature Discovery once and labels the node with what it found.
///
/// It writes a file for Node Feature Discovery, which would copy it to the node's labels. That is
/// not part of this cluster, so the labels are set here, and they are the same.
pub(super) fn label_node(layout: &Layout, parts: &Parts, driver: &DriverRoot) -> Result<()> {
    let features = layout.state().join("nvidia/features");
    output(
        Command::new(parts.binary("gpu-feature-discovery"))
            .args(["--oneshot", "--no-timestamp", "--device-discovery-strategy=nvml", "--mig-strategy=none"])
            .arg(format!("--driver-root-ctr-path={}", driver.path().display()))
            .arg(format!("--output-file={}", features.display()))
            .env("LD_LIBRARY_PATH", driver.libraries()),
    )
    .context("GPU Feature Discovery can't read the double's cards")?;
    let labels = labels(&features)?;
    succeed(kubectl(layout).args(["label", "node", NODE_NAME, "--overwrite"]).args(labels))
}

/// One `name=value` a line. A value may be empty: the driver's version has no revision, say.
fn labels(features: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(features).with_context(|| format!("{} can't be read", features.display()))?;
    Ok(text.lines().filter(|line| line.contains('=')).map(str::to_owned).collect())
}
