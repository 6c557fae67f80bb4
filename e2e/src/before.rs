//! The release before: an earlier commit of this repository, compiled, with its images in the registry.

use std::path::{Path, PathBuf};

use alloy::primitives::Bytes;
use anyhow::{Context, Result, ensure};
use hawser_local::Layout;
use hawser_local::images::{self, Registry, Rootfs};
use tokio::process::Command;

use crate::environment::Environment;
use crate::run;

/// Where a provider would come from.
const COMMIT: &str = "4ce69c52f4071398072abd8e731f1b4d58af460a";

/// An earlier commit, ready to be installed.
#[derive(Debug)]
pub struct Before {
    root: PathBuf,
    pub(crate) operator_image: String,
    pub(crate) sidecar_image: String,
}

impl Before {
    /// That of `HAWSER_UPGRADE_FROM`, or of the usual commit. What is compiled stays in the cache.
    ///
    /// # Errors
    /// When the checkout doesn't have it in its history, or it speaks of another market, or doesn't compile.
    pub async fn prepare(environment: &Environment) -> Result<Self> {
        let named = std::env::var("HAWSER_UPGRADE_FROM").ok().filter(|name| !name.is_empty());
        let commit = resolve(&environment.root, &named.unwrap_or_else(|| COMMIT.to_owned())).await?;
        let layout = Layout::of_this_machine()?;
        let folder = layout.cache().join("before").join(&commit);
        let root = folder.join("source");
        check_out(&environment.root, &commit, &root).await?;
        ensure!(
            artifact(&root)?["abi"] == artifact(&environment.root)?["abi"],
            "commit {commit}, from which an upgrade is tried, speaks another interface of the market, and a deployed market \
             never changes: there is no upgrade from it, name a later one in HAWSER_UPGRADE_FROM"
        );
        let target = folder.join("target");
        build(&root, &target).await.with_context(|| format!("commit {commit} does not compile"))?;
        let (sources, programs) = (root.clone(), target.join("debug"));
        let registry = format!("{}/hawser-before", environment.registry);
        let images = tokio::task::spawn_blocking(move || publish(&layout, &registry, &sources, &programs));
        let [operator_image, sidecar_image] = images.await??;
        Ok(Self { root, operator_image, sidecar_image })
    }

    /// The image that meters of this release run.
    pub fn sidecar_image(&self) -> &str {
        &self.sidecar_image
    }

    /// The sources, with the charts.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The market's code: what is deployed stays as it is when a cluster is upgraded.
    ///
    /// # Errors
    /// When the artifact is not there or has none.
    pub fn market(&self) -> Result<Bytes> {
        let code = artifact(&self.root)?["bytecode"]["object"].as_str().and_then(|code| code.parse().ok());
        code.with_context(|| format!("{} of {} has no bytecode", ARTIFACT, self.root.display()))
    }
}

const ARTIFACT: &str = "contracts/bindings/abi/ComputeMarket.json";

/// ABI and code of the market that these sources speak of.
fn artifact(root: &Path) -> Result<serde_json::Value> {
    let path = root.join(ARTIFACT);
    let text = std::fs::read(&path).with_context(|| format!("{} can't be read", path.display()))?;
    Ok(serde_json::from_slice(&text)?)
}

async fn resolve(repository: &Path, commit: &str) -> Result<String> {
    let name = format!("{commit}^{{commit}}");
    let resolved = run::command(git(repository).args(["rev-parse", "--verify", "--quiet", &name])).await;
    let resolved = resolved.with_context(|| {
        format!(
            "commit {commit}, from which an upgrade is tried, is not in the history of {}: where the clone is shallow, `git fetch --unshallow` brings it; HAWSER_UPGRADE_FROM names another one",
            repository.display()
        )
    })?;
    Ok(resolved.trim().to_owned())
}

fn git(repository: &Path) -> Command {
    let mut git = Command::new("git");
    git.arg("-C").arg(repository);
    git
}

/// A folder of this name is complete: it gets its name last.
async fn check_out(repository: &Path, commit: &str, root: &Path) -> Result<()> {
    if root.exists() {
        return Ok(());
    }
    let folder = root.parent().context("a folder without a parent")?;
    std::fs::create_dir_all(folder).with_context(|| format!("{} can't be created", folder.display()))?;
    let fresh = tempfile::tempdir_in(folder)?;
    let (archive, tree) = (fresh.path().join("tree.tar"), fresh.path().join("tree"));
    run::command(git(repository).args(["archive", "--format=tar", "--output"]).arg(&archive).arg(commit)).await?;
    std::fs::create_dir(&tree)?;
    run::command(Command::new("tar").arg("--extract").arg("--file").arg(&archive).arg("--directory").arg(&tree))
        .await?;
    std::fs::rename(&tree, root).with_context(|| format!("{} can't be created", root.display()))
}

/// By the toolchain that the commit names.
async fn build(root: &Path, target: &Path) -> Result<()> {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(root).env("CARGO_TARGET_DIR", target);
    for (name, _) in std::env::vars_os() {
        let Some(name) = name.to_str() else { continue };
        // Of the cargo that this was started by.
        if name == "RUSTUP_TOOLCHAIN" || name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(name);
        }
    }
    cargo.args(["build", "--locked", "--package", "hawser-operator", "--package", "hawser-sidecar"]);
    run::command(&mut cargo).await.map(drop)
}

/// The images of operator and sidecar, by that commit's recipes.
fn publish(layout: &Layout, registry: &str, root: &Path, programs: &Path) -> Result<[String; 2]> {
    let image = |name: &str, certificates: bool| {
        let context = tempfile::tempdir()?;
        let rootfs = Rootfs::create(context.path().join("rootfs"))?;
        let program = format!("hawser-{name}");
        rootfs.program(&programs.join(&program), Path::new("/usr/local/bin").join(&program))?;
        if certificates {
            rootfs.ca_certificates()?;
        }
        let recipe = root.join(name).join("Containerfile");
        images::publish(layout, Registry::unverified(registry), name, context.path(), &recipe)
            .with_context(|| format!("image {name} of {}", root.display()))
    };
    Ok([image("operator", true)?, image("sidecar", false)?])
}
