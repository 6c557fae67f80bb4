//! NVIDIA's device plugin: cards as the resource `nvidia.com/gpu`.

use std::{fs, io, path::Path};

use anyhow::{Context as _, Result};

use super::{Parts, driver::DriverRoot};
use crate::process::{Ready, Spec};

/// The component's name.
pub(super) const NAME: &str = "nvidia-device-plugin";

/// The device plugin writes its CDI specification here, and has no option for another place.
const SPECIFICATION: &str = "/var/run/cdi/k8s.device-plugin.nvidia.com-gpu.json";

/// It is ready when it has registered: it writes the specification just before.
pub(super) fn spec(parts: &Parts, driver: &DriverRoot) -> Spec {
    let root = driver.path().display();
    Spec::new(NAME, parts.version(), parts.binary("nvidia-device-plugin"))
        .args(["--device-discovery-strategy=nvml", "--mig-strategy=none", "--device-list-strategy=cdi-cri"])
        .arg(format!("--nvidia-driver-root={root}"))
        .arg(format!("--driver-root-ctr-path={root}"))
        .arg(format!("--nvidia-dev-root={root}"))
        .arg(format!("--nvidia-cdi-hook-path={}", parts.binary("nvidia-cdi-hook").display()))
        .env("LD_LIBRARY_PATH", driver.libraries().display().to_string())
        .ready(Ready::File(SPECIFICATION.into()))
}

/// Removes what the plugin leaves behind, and the folder if nobody else uses it.
pub(super) fn remove_specification() -> Result<()> {
    let specification = Path::new(SPECIFICATION);
    ignore_absent(fs::remove_file(specification)).with_context(|| format!("{SPECIFICATION} can't be removed"))?;
    // Fails where another's specification lies in it, which is as it should be.
    let _ = specification.parent().map(fs::remove_dir);
    Ok(())
}

fn ignore_absent(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
