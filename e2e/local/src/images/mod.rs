//! Container images: built by buildah from a Containerfile, pushed to a
//! registry, named by digest.

mod rootfs;

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result, bail};

pub use rootfs::Rootfs;

use crate::{Layout, command};

/// Where images are pushed to.
#[derive(Clone, Copy, Debug)]
pub struct Registry<'a> {
    address: &'a str,
    verify_tls: bool,
}

impl<'a> Registry<'a> {
    /// `host:port/path` with a certificate that this machine trusts.
    pub fn verified(address: &'a str) -> Self {
        Self { address, verify_tls: true }
    }

    /// `host:port/path`, plain HTTP or any certificate.
    pub fn unverified(address: &'a str) -> Self {
        Self { address, verify_tls: false }
    }
}

/// Builds the image `name` (`hawser/operator:dev`) from `containerfile` with
/// `context` as its context, pushes it to `registry` and returns its reference
/// by digest (`host:port/hawser/operator@sha256:...`).
pub fn publish(
    layout: &Layout,
    registry: Registry<'_>,
    name: &str,
    context: &Path,
    containerfile: &Path,
) -> Result<String> {
    let workspace = Workspace::create(layout)?;
    workspace.build(context, containerfile)?;
    workspace.push(registry, name)
}

/// Copies all that one registry of ours has into the folder of another. The clusters name it alike, by the same address.
pub fn copy_all(from: &Path, to: &Path) -> Result<()> {
    command::succeed(Command::new("cp").args(["--archive", "--no-target-directory"]).args([from, to]))
}

/// buildah's storage for one build. A new one each time: images of programs
/// from scratch have no layer to share, and old ones would pile up.
struct Workspace {
    dir: tempfile::TempDir,
}

const BUILT: &str = "localhost/built";

impl Workspace {
    fn create(layout: &Layout) -> Result<Self> {
        let parent = layout.cache().join("images");
        fs::create_dir_all(&parent).with_context(|| format!("{} can't be created", parent.display()))?;
        let dir = tempfile::tempdir_in(&parent)
            .with_context(|| format!("no directory can be made in {}", parent.display()))?;
        Ok(Self { dir })
    }

    fn build(&self, context: &Path, containerfile: &Path) -> Result<()> {
        let mut build = self.buildah();
        build.args(["build", "--isolation", "chroot", "--layers=false", "--quiet", "--tag", BUILT, "--file"]);
        command::succeed(build.arg(containerfile).arg(context))
    }

    fn push(&self, registry: Registry<'_>, name: &str) -> Result<String> {
        let destination = &format!("{}/{name}", registry.address);
        let digest_file = self.dir.path().join("digest");
        let mut push = self.buildah();
        push.args(["push", "--quiet"]).arg(format!("--tls-verify={}", registry.verify_tls));
        push.arg("--digestfile").arg(&digest_file);
        command::succeed(push.arg(BUILT).arg(format!("docker://{destination}")))?;
        let digest =
            fs::read_to_string(&digest_file).with_context(|| format!("buildah wrote no {}", digest_file.display()))?;
        by_digest(destination, digest.trim())
    }

    fn buildah(&self) -> Command {
        let mut buildah = Command::new("buildah");
        buildah
            .args(["--storage-driver", "vfs", "--root"])
            .arg(self.dir.path().join("root"))
            .arg("--runroot")
            .arg(self.dir.path().join("run"));
        buildah
    }
}

/// Puts a digest in the place of the tag, if there is one.
fn by_digest(reference: &str, digest: &str) -> Result<String> {
    if !digest.starts_with("sha256:") {
        bail!("{reference} was pushed, but {digest:?} is no digest");
    }
    // A colon before the last slash is the registry's port.
    let name_start = reference.rfind('/').map_or(0, |slash| slash + 1);
    let end = reference[name_start..].find(':').map_or(reference.len(), |colon| name_start + colon);
    Ok(format!("{}@{digest}", &reference[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_takes_the_tags_place_and_leaves_the_port() {
        for (reference, expected) in [
            ("198.18.0.2:5000/hawser/operator:dev", "198.18.0.2:5000/hawser/operator@sha256:1"),
            ("198.18.0.2:5000/operator", "198.18.0.2:5000/operator@sha256:1"),
            ("operator:dev", "operator@sha256:1"),
        ] {
            assert_eq!(by_digest(reference, "sha256:1").unwrap(), expected);
        }
        by_digest("operator", "").unwrap_err();
    }
}
