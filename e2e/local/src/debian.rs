//! What Debian gives: found by its binary, installed by apt-get when missing.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{Endpoints, command};

/// A package, and a file below `/usr` (or `/`, or `/usr/local`) that tells whether it is there.
#[derive(Clone, Copy, Debug)]
pub struct Package {
    pub name: &'static str,
    pub file: &'static str,
}

const PACKAGES: &[Package] = &[
    Package { name: "runc", file: "sbin/runc" },
    Package { name: "containernetworking-plugins", file: "lib/cni/ptp" },
    Package { name: "iptables", file: "sbin/iptables" },
    Package { name: "conntrack", file: "sbin/conntrack" },
    Package { name: "iproute2", file: "sbin/ip" },
    Package { name: "docker-registry", file: "bin/docker-registry" },
];

/// What images are made with; the cluster's own pause image is one.
const IMAGES: &[Package] = &[
    Package { name: "buildah", file: "bin/buildah" },
    Package { name: "ca-certificates", file: "etc/ssl/certs/ca-certificates.crt" },
];

/// CNI plugins, where Debian puts them.
pub(crate) const CNI_PLUGINS: &str = "/usr/lib/cni";
pub(crate) const REGISTRY: &str = "/usr/bin/docker-registry";
pub(crate) const RUNC: &str = "/usr/sbin/runc";

/// Installs what the cluster needs of Debian.
pub(crate) fn install_missing() -> Result<()> {
    require(&[PACKAGES, IMAGES].concat())
}

/// Makes sure that images can be made, and that the packages are there which go into them.
pub fn require_for_images(packages: &[Package]) -> Result<()> {
    require(&[IMAGES, packages].concat())
}

/// `promtool`, of Debian's Prometheus; no service of it is started.
pub fn promtool() -> Result<PathBuf> {
    require(&[Package { name: "prometheus", file: "bin/promtool" }])?;
    find_program("promtool").context("Debian's package prometheus is installed, and promtool is not in PATH")
}

/// `python3`: the machine's own, else Debian's.
pub fn python() -> Result<Command> {
    if find_program("python3").is_none() {
        require(&[Package { name: "python3", file: "bin/python3" }])?;
    }
    Ok(Command::new("python3"))
}

/// Python's pip: the machine's own, else Debian's.
pub fn pip() -> Result<Command> {
    let pip = || {
        let mut python = Command::new("python3");
        python.args(["-m", "pip"]);
        python
    };
    if command::succeed(pip().arg("--version")).is_err() {
        require(&[Package { name: "python3-pip", file: "bin/pip3" }])?;
    }
    Ok(pip())
}

/// Installs the packages that are missing, and says which. Where `HAWSER_KUBECONFIG` names the cluster, nothing is
/// installed: this machine may be anybody's, and root is not needed.
fn require(packages: &[Package]) -> Result<()> {
    let missing: Vec<&str> =
        packages.iter().filter(|package| !is_installed(package.file)).map(|package| package.name).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    if Endpoints::of_existing_cluster()?.is_some() {
        bail!(
            "this needs the Debian packages {names}: install them (nothing is installed where HAWSER_KUBECONFIG is set)"
        );
    }
    if find_program("apt-get").is_none() {
        bail!("this needs the Debian packages {names}, and apt-get isn't here to install them: install them by hand");
    }
    eprintln!("installing with apt-get: {names}");
    command::show(apt().arg("update"))?;
    command::show(apt().args(["install", "--yes", "--no-install-recommends"]).args(missing))
}

fn apt() -> Command {
    let mut apt = Command::new("apt-get");
    // RUNLEVEL=1 keeps Debian from starting the registry as a service of the machine.
    apt.args(["--quiet", "--option=DPkg::Lock::Timeout=120"])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("RUNLEVEL", "1");
    apt
}

fn is_installed(file: &str) -> bool {
    ["/usr", "/", "/usr/local"].iter().any(|prefix| Path::new(prefix).join(file).exists())
}

/// Looks a program up in PATH.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
}
