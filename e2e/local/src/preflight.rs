//! Refusals that a person can act on, before anything is built or started.

use std::path::Path;

use anyhow::{Result, bail};
use nix::unistd::Uid;

use crate::{debian::find_program, network};

/// A program that can't come from Debian in the version that is needed.
struct Needed {
    program: &'static str,
    remedy: &'static str,
}

const NEEDED: &[Needed] = &[
    Needed { program: "go", remedy: "install Go 1.25 or newer and put it in PATH" },
    Needed { program: "cc", remedy: "run `apt-get install gcc libc6-dev`" },
    Needed { program: "node", remedy: "install Node.js 20 or newer and put it in PATH" },
    Needed { program: "npm", remedy: "install npm (it comes with Node.js) and put it in PATH" },
];

/// Everything that can be known to fail before it is tried.
pub(crate) fn check() -> Result<()> {
    check_platform()?;
    for needed in NEEDED {
        if find_program(needed.program).is_none() {
            bail!(
                "the local cluster needs `{}`: {}, or set HAWSER_KUBECONFIG to use an existing cluster",
                needed.program,
                needed.remedy
            );
        }
    }
    if Path::new("/var/lib/kubelet/config.yaml").exists() {
        bail!(
            "this machine is a Kubernetes node already (/var/lib/kubelet/config.yaml): set HAWSER_KUBECONFIG to use its cluster"
        );
    }
    network::check_addresses_are_free()
}

/// What `down` needs as well.
pub(crate) fn check_platform() -> Result<()> {
    if !cfg!(target_os = "linux") {
        bail!(
            "the local cluster needs Linux: run this in a Linux virtual machine, or set HAWSER_KUBECONFIG to use an existing cluster"
        );
    }
    if !Uid::effective().is_root() {
        bail!(
            "the local cluster needs root, for its network namespace and containers: run this with sudo, or set HAWSER_KUBECONFIG to use an existing cluster"
        );
    }
    Ok(())
}
