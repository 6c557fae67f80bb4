//! A driver root without a driver: the NVML double, its state, and device nodes that nothing serves.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};
use nix::sys::stat::{Mode, SFlag, makedev, mknod, umask};
use nvml_double_state::{DRIVER_VERSION, STATE_FILE_PREFIX, StateFile};

use super::Gpus;
use crate::{
    Layout,
    cache::{self, Key},
    output,
};

/// NVIDIA's major number for `/dev/nvidiaN` and `/dev/nvidiactl`.
const NVIDIA_MAJOR: u64 = 195;
const CONTROL_MINOR: u64 = 255;
/// The kernel gives `nvidia-uvm` a major number when it is loaded; 510 is a usual one.
const UVM_MAJOR: u64 = 510;

/// In the cache.
const DOUBLE: &str = "libnvidia_ml_double.so";

/// Where the driver's files would be, were there one.
#[derive(Clone, Debug)]
pub(super) struct DriverRoot {
    root: PathBuf,
}

impl DriverRoot {
    pub(super) fn of(layout: &Layout) -> Self {
        Self { root: layout.state().join("nvidia/driver") }
    }

    pub(super) fn path(&self) -> &Path {
        &self.root
    }

    pub(super) fn libraries(&self) -> PathBuf {
        self.root.join("usr/lib64")
    }

    pub(super) fn state(&self) -> StateFile {
        StateFile::at(self.libraries().join(format!("{STATE_FILE_PREFIX}{DRIVER_VERSION}")))
    }

    /// Fills the driver root, with all cards idle.
    pub(super) fn install(&self, gpus: &Gpus, double: &Path) -> Result<()> {
        let libraries = self.libraries();
        fs::create_dir_all(&libraries).with_context(|| format!("{} can't be created", libraries.display()))?;
        let library = format!("libnvidia-ml.so.{DRIVER_VERSION}");
        fs::copy(double, libraries.join(&library)).with_context(|| format!("{} can't be copied", double.display()))?;
        for link in ["libnvidia-ml.so.1", "libnvidia-ml.so"] {
            symlink(&library, libraries.join(link)).with_context(|| format!("{link} can't be linked"))?;
        }
        // The toolkit finds the driver's version and folder by this name. No program here calls CUDA.
        fs::write(libraries.join(format!("libcuda.so.{DRIVER_VERSION}")), "").context("libcuda can't be written")?;

        let state = gpus.idle()?;
        self.state().create(&state)?;
        let nodes = state
            .cards
            .iter()
            .map(|card| (format!("nvidia{}", card.minor), NVIDIA_MAJOR, u64::from(card.minor)))
            .chain([
                ("nvidiactl".to_owned(), NVIDIA_MAJOR, CONTROL_MINOR),
                ("nvidia-uvm".to_owned(), UVM_MAJOR, 0),
                ("nvidia-uvm-tools".to_owned(), UVM_MAJOR, 1),
            ]);
        let devices = self.root.join("dev");
        fs::create_dir_all(&devices).with_context(|| format!("{} can't be created", devices.display()))?;
        nodes.into_iter().try_for_each(|(name, major, minor)| make_node(&devices.join(name), major, minor))
    }
}

/// A character device that everyone may open, as the driver makes it.
fn make_node(path: &Path, major: u64, minor: u64) -> Result<()> {
    let everyone = Mode::from_bits_truncate(0o666);
    let before = umask(Mode::empty());
    let made = mknod(path, SFlag::S_IFCHR, everyone, makedev(major, minor));
    umask(before);
    made.with_context(|| format!("device node {} can't be made; that takes CAP_MKNOD", path.display()))
}

/// The double's library, from the cache if it is there: asking cargo would wait for any other build.
pub(super) fn build_double(layout: &Layout) -> Result<PathBuf> {
    let workspace = layout.source().join("../..");
    let source = workspace.join("e2e/nvml-double");
    let key = Key::default()
        .with_file(&workspace.join("Cargo.lock"))?
        .with_file(&source.join("Cargo.toml"))?
        .with_file(&source.join("build.rs"))?
        .with_tree(&source.join("src"))?
        .with_tree(&source.join("state"))?;
    let directory = cache::directory(layout, "nvml-double", &key, |out| {
        eprintln!("building the NVML double (Rust; cached afterwards)");
        let built = cargo_build()?;
        fs::copy(&built, out.join(DOUBLE)).with_context(|| format!("{} can't be copied", built.display()))?;
        Ok(())
    })?;
    Ok(directory.join(DOUBLE))
}

/// Cargo says in JSON, one message per line, what it built and where it lies.
fn cargo_build() -> Result<PathBuf> {
    let messages = output(
        Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(["build", "--quiet", "--package", "nvml-double", "--message-format=json"])
            .current_dir(env!("CARGO_MANIFEST_DIR")),
    )?;
    built_library(&messages).context("cargo built nvml-double and named no shared library")
}

fn built_library(messages: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == "nvidia_ml_double")
        .filter_map(|message| message["filenames"].as_array().cloned())
        .flatten()
        .filter_map(|name| name.as_str().map(PathBuf::from))
        .find(|path| path.extension().is_some_and(|extension| extension == "so"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_is_found_among_cargos_messages() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"libc"},"filenames":["/t/liblibc.rlib"]}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"name":"nvidia_ml_double"},"filenames":["/t/libnvidia_ml_double.so"]}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        assert_eq!(built_library(messages), Some(PathBuf::from("/t/libnvidia_ml_double.so")));
        assert_eq!(built_library("{}"), None);
    }
}
