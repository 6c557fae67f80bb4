//! The container images of a run: operator, sidecar and a customer's program.

use std::path::Path;

use anyhow::{Context, Result};
use hawser_local::debian::Package;
use hawser_local::images::{self, Registry, Rootfs};
use hawser_local::{Endpoints, Layout};

use crate::workspace::{self, Profile};

/// Debian packages that the customer's image is made of.
pub(crate) const DEBIAN_PACKAGES: &[Package] = &[
    Package { name: "povray", file: "bin/povray" },
    Package { name: "povray-examples", file: "share/doc/povray/examples/advanced/chess2.pov" },
    Package { name: "povray-includes", file: "share/povray-3.7/include/colors.inc" },
    Package { name: "busybox-static", file: "bin/busybox" },
];

/// What a run of the demo or the tests is given, as environment variables.
pub(crate) type Variables = Vec<(String, String)>;

/// Digest references of what a provider's cluster runs.
#[derive(Debug)]
pub(crate) struct Images {
    pub(crate) operator: String,
    pub(crate) sidecar: String,
}

/// Builds and pushes `operator` and `sidecar` from the programs that are built already.
pub(crate) fn hawser(layout: &Layout, registry: Registry<'_>, profile: Profile) -> Result<Images> {
    let operator = image(layout, registry, "operator", "operator/Containerfile", |rootfs| {
        let program = workspace::program(layout, profile, "hawser-operator");
        rootfs.program(&program, "/usr/local/bin/hawser-operator")?;
        rootfs.ca_certificates()
    })?;
    let sidecar = image(layout, registry, "sidecar", "sidecar/Containerfile", |rootfs| {
        rootfs.program(&workspace::program(layout, profile, "hawser-sidecar"), "/usr/local/bin/hawser-sidecar")
    })?;
    Ok(Images { operator, sidecar })
}

/// Builds and pushes the images of a run from the programs that are built already.
pub(crate) fn publish(layout: &Layout, endpoints: &Endpoints) -> Result<Variables> {
    let hawser = hawser(layout, Registry::unverified(&format!("{}/hawser", endpoints.registry)), Profile::Dev)?;
    let registry = Registry::unverified(&endpoints.registry);
    let povray = image(layout, registry, "customer/povray", "e2e/images/povray/Containerfile", povray)?;
    let steering = image(layout, registry, "customer/steering", "e2e/images/steering/Containerfile", shell)?;
    let variables = [
        ("HAWSER_OPERATOR_IMAGE", hawser.operator),
        ("HAWSER_SIDECAR_IMAGE", hawser.sidecar),
        ("HAWSER_POVRAY_IMAGE", povray),
        ("HAWSER_STEERING_IMAGE", steering),
        ("HAWSER_OPERATOR", workspace::program(layout, Profile::Dev, "hawser-operator").display().to_string()),
        ("HAWSER_SIDECAR", workspace::program(layout, Profile::Dev, "hawser-sidecar").display().to_string()),
        ("HAWSER_CLI", workspace::program(layout, Profile::Dev, "hawser").display().to_string()),
        ("HAWSER_ROOT", workspace::root().display().to_string()),
        ("HAWSER_REGISTRY", endpoints.registry.clone()),
        ("HAWSER_RPC_URL", endpoints.rpc_url.clone()),
        ("HAWSER_S3_URL", endpoints.s3_url.clone()),
        ("HAWSER_S3_ACCESS_KEY", endpoints.s3_access_key.clone()),
        ("HAWSER_S3_SECRET_KEY", endpoints.s3_secret_key.clone()),
        ("KUBECONFIG", endpoints.kubeconfig.display().to_string()),
        ("PATH", path_with(endpoints.bin_dir.as_deref())?),
    ];
    Ok(variables.map(|(name, value)| (name.to_owned(), value)).to_vec())
}

fn image(
    layout: &Layout,
    registry: Registry<'_>,
    name: &str,
    containerfile: &str,
    fill: impl FnOnce(&Rootfs) -> Result<()>,
) -> Result<String> {
    let context = tempfile::tempdir()?;
    fill(&Rootfs::create(context.path().join("rootfs"))?)?;
    images::publish(layout, registry, name, context.path(), &workspace::root().join(containerfile))
        .with_context(|| format!("image {name}"))
}

/// POV-Ray from Debian with its own scenes, and a shell to run it from.
fn povray(rootfs: &Rootfs) -> Result<()> {
    rootfs.program(Path::new("/usr/bin/povray"), "/usr/bin/povray")?;
    shell(rootfs)?;
    for folder in ["/etc/povray", "/usr/share/povray-3.7", "/usr/share/doc/povray/examples/advanced"] {
        rootfs.folder(Path::new(folder))?;
    }
    let script = workspace::root().join("e2e/images/povray/render.sh");
    rootfs.copy(&script, Path::new("/render.sh"))
}

/// A shell, and what scripts call.
fn shell(rootfs: &Rootfs) -> Result<()> {
    // Static: it has no libraries to bring.
    rootfs.copy(Path::new("/bin/busybox"), Path::new("/bin/busybox"))?;
    for applet in ["cat", "echo", "env", "false", "grep", "ls", "nc", "nslookup", "sh", "sha256sum", "sleep", "true"] {
        rootfs.link("/bin/busybox", Path::new("/bin").join(applet))?;
    }
    Ok(())
}

fn path_with(first: Option<&Path>) -> Result<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = first.map(Path::to_path_buf).into_iter().chain(std::env::split_paths(&path));
    let joined = std::env::join_paths(all).context("PATH can't be extended")?;
    joined.into_string().ok().context("PATH is not UTF-8")
}
