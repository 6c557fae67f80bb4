//! Refusals that a person can act on, before anything is built or started.

use std::{path::Path, process::Command};

use anyhow::{Context as _, Result, bail};
use nix::unistd::Uid;

use crate::{command, debian::find_program, device_plugins};

/// A program that can't come from Debian in the version that is needed.
struct Needed {
    program: &'static str,
    remedy: &'static str,
}

const NEEDED: &[Needed] = &[
    Needed { program: "go", remedy: "install Go 1.26 or newer and put it in PATH" },
    Needed { program: "cc", remedy: "run `apt-get install gcc libc6-dev`" },
    Needed { program: "node", remedy: "install Node.js 20 or newer and put it in PATH" },
    Needed { program: "npm", remedy: "install npm (it comes with Node.js) and put it in PATH" },
];

/// Go 1.x: what `go/*/go.mod` ask for. A newer one is not downloaded.
const GO: u32 = 26;

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
    check_go(&command::output(Command::new("go").args(["env", "GOVERSION"]).env("GOTOOLCHAIN", "local"))?)?;
    if Path::new("/var/lib/kubelet/config.yaml").exists() || device_plugins::a_kubelet_answers() {
        bail!("this machine is a Kubernetes node already: set HAWSER_KUBECONFIG to use its cluster");
    }
    Ok(())
}

/// As Go says it: `go1.26.8`, `go1.27rc1`, `devel go1.27-0123456 ...`.
fn check_go(version: &str) -> Result<()> {
    let found = minor(version).with_context(|| format!("`go env GOVERSION` says {:?}", version.trim()))?;
    if found < GO {
        bail!(
            "the local cluster needs Go 1.{GO} or newer, and `go` in PATH is {}: install a newer one, or set HAWSER_KUBECONFIG to use an existing cluster",
            version.trim()
        );
    }
    Ok(())
}

fn minor(version: &str) -> Option<u32> {
    let (_, rest) = version.split_once("go1.")?;
    rest.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn an_old_go_is_refused_with_both_versions() {
        for good in ["go1.26.0\n", "go1.27rc1\n", "devel go1.30-0123456 Mon\n"] {
            check_go(good).unwrap();
        }
        let said = check_go("go1.25.9\n").unwrap_err().to_string();
        assert!(said.contains("1.26") && said.contains("go1.25.9"), "{said}");
        check_go("gccgo").unwrap_err();
    }

    #[test]
    fn no_module_asks_for_a_newer_go_than_is_checked() {
        for module in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/go")).unwrap() {
            let text = fs::read_to_string(module.unwrap().path().join("go.mod")).unwrap();
            let asked = text.lines().find_map(|line| line.strip_prefix("go 1.")?.split('.').next()?.parse().ok());
            assert!(asked.is_some_and(|asked: u32| asked <= GO), "{text}");
        }
    }
}
