//! NVIDIA's container toolkit: the CDI specification of all cards, and the container runtime that
//! gives them to who asks by `NVIDIA_VISIBLE_DEVICES`. Its configuration stays in the state
//! directory, so `/etc` is left alone.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::{Parts, driver::DriverRoot};
use crate::{Layout, succeed};

/// Handler of the runtime class, and the runtime's name in containerd.
pub(super) const RUNTIME: &str = "nvidia";

/// Files of the toolkit, under the state directory.
#[derive(Clone, Debug)]
struct Files {
    folder: PathBuf,
}

impl Files {
    fn specifications(&self) -> PathBuf {
        self.folder.join("cdi")
    }

    fn configuration(&self) -> PathBuf {
        self.folder.join("config.toml")
    }

    /// containerd runs this; it tells the runtime where its configuration lies.
    fn wrapper(&self) -> PathBuf {
        self.folder.join("nvidia-container-runtime")
    }
}

/// Writes it all and returns the table that containerd's configuration gets.
pub(super) fn install(layout: &Layout, parts: &Parts, driver: &DriverRoot, runc: &str) -> Result<String> {
    let files = Files { folder: layout.state().join("nvidia/toolkit") };
    let specifications = files.specifications();
    fs::create_dir_all(&specifications).with_context(|| format!("{} can't be created", specifications.display()))?;
    generate_specification(parts, driver, &specifications.join("nvidia.yaml"))?;
    write(&files.configuration(), &configuration(&specifications, runc))?;
    write(&files.wrapper(), &wrapper(&files.configuration(), &parts.binary("nvidia-container-runtime")))?;
    fs::set_permissions(files.wrapper(), fs::Permissions::from_mode(0o755))
        .with_context(|| format!("{} can't be made executable", files.wrapper().display()))?;
    Ok(containerd_runtime(&files.wrapper()))
}

fn generate_specification(parts: &Parts, driver: &DriverRoot, to: &Path) -> Result<()> {
    succeed(
        Command::new(parts.binary("nvidia-ctk"))
            .args(["--quiet", "cdi", "generate", "--mode=nvml"])
            .arg(option("driver-root", driver.path()))
            .arg(option("dev-root", driver.path()))
            .arg(option("nvidia-cdi-hook-path", &parts.binary("nvidia-cdi-hook")))
            .arg(option("output", to))
            .env("LD_LIBRARY_PATH", driver.libraries()),
    )
    .context("nvidia-ctk can't describe the double's cards")
}

fn option(name: &str, path: &Path) -> String {
    format!("--{name}={}", path.display())
}

/// In mode `cdi` the runtime does nothing but turn `NVIDIA_VISIBLE_DEVICES` into devices of the
/// specification, and leaves containers alone that the device plugin gave cards to.
fn configuration(specifications: &Path, runc: &str) -> String {
    format!(
        r#"[nvidia-container-runtime]
mode = "cdi"
runtimes = ["{runc}"]

[nvidia-container-runtime.modes.cdi]
default-kind = "nvidia.com/gpu"
spec-dirs = ["{}"]
"#,
        specifications.display()
    )
}

fn wrapper(configuration: &Path, runtime: &Path) -> String {
    format!(
        "#!/bin/sh\nNVIDIA_CTK_CONFIG_FILE_PATH='{}' exec '{}' \"$@\"\n",
        configuration.display(),
        runtime.display()
    )
}

fn containerd_runtime(wrapper: &Path) -> String {
    format!(
        r#"[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.{RUNTIME}]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.{RUNTIME}.options]
  BinaryName = "{}"
"#,
        wrapper.display()
    )
}

fn write(path: &Path, content: &str) -> Result<()> {
    fs::write(path, content).with_context(|| format!("{} can't be written", path.display()))
}
