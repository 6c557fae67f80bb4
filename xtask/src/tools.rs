//! Programs that checks need and the cluster doesn't: pinned, and installed into the cache.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use hawser_local::cache::{self, Key};
use hawser_local::{Layout, debian};

use crate::workspace::{self, cargo, show};

/// A program of crates.io that has no prebuilt package from its own authors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crate {
    pub(crate) name: &'static str,
    /// Pinned: the program's answers change with its version.
    pub(crate) version: &'static str,
    /// Further arguments of `cargo install`.
    pub(crate) install: &'static [&'static str],
}

/// The program of `tool`, built unless the cache has it.
pub(crate) fn from_crates_io(layout: &Layout, tool: &Crate) -> Result<PathBuf> {
    let Crate { name, version, install } = tool;
    let root = layout.cache().join("tools").join(format!("{name}-{version}"));
    let program = root.join("bin").join(name);
    if !program.is_file() {
        eprintln!("building {name} {version} (cached afterwards)");
        let mut cargo = cargo(layout);
        cargo.args(["install", name, "--locked", "--debug", "--version", version, "--root"]).arg(&root);
        // Nobody debugs it.
        cargo.env("CARGO_PROFILE_DEV_DEBUG", "0");
        show(cargo.args(*install))?;
    }
    Ok(program)
}

/// Programs of `python/requirements.txt`.
#[derive(Clone, Debug)]
pub(crate) struct Wheels {
    bin: PathBuf,
}

impl Wheels {
    /// Installs the wheels unless the cache has them. pip checks each against its hash.
    pub(crate) fn install(layout: &Layout) -> Result<Self> {
        let requirements = workspace::root().join("xtask/python/requirements.txt");
        let key = Key::default().with_file(&requirements)?;
        let directory = cache::directory(layout, "wheels", &key, |out| {
            let names = names(&requirements)?;
            eprintln!("installing {} (pip; cached afterwards)", names.join(" and "));
            let mut pip = debian::pip()?;
            pip.args(["install", "--quiet", "--disable-pip-version-check", "--root-user-action=ignore"]);
            pip.args(["--require-hashes", "--only-binary=:all:", "--no-deps", "--target"]).arg(out);
            show(pip.arg("--requirement").arg(&requirements))
        })?;
        Ok(Self { bin: directory.join("bin") })
    }

    /// The program called `name`, in the root of the checkout.
    pub(crate) fn program(&self, name: &str) -> Result<Command> {
        let program = self.bin.join(name);
        if !program.is_file() {
            bail!("{} is not there: does xtask/python/requirements.txt name {name}'s wheel?", program.display());
        }
        let mut command = Command::new(program);
        command.current_dir(workspace::root());
        Ok(command)
    }
}

/// What a file of requirements names, with versions.
fn names(requirements: &Path) -> Result<Vec<String>> {
    let text =
        std::fs::read_to_string(requirements).with_context(|| format!("{} can't be read", requirements.display()))?;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    Ok(lines.filter_map(|line| line.split_whitespace().next()).map(|name| name.replace("==", " ")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_installed_is_named_with_its_version() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "# why\na==1.0 --hash=sha256:00\n\nb==2.1 \\\n").unwrap();
        assert_eq!(names(file.path()).unwrap(), ["a 1.0", "b 2.1"]);
    }
}
