//! The EVM toolchain from npm: Foundry's binaries and solc.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, bail};

use crate::{Layout, cache, cache::Key, command};

/// Where the tools of `npm/package-lock.json` lie.
#[derive(Clone, Debug)]
pub struct Toolchain {
    node_modules: PathBuf,
}

/// Installs the toolchain (`npm ci`) unless the cache has it.
pub fn install(layout: &Layout) -> Result<Toolchain> {
    let source = layout.source().join("npm");
    let files = ["package.json", "package-lock.json"];
    let mut key = Key::default();
    for file in files {
        key = key.with_file(&source.join(file))?;
    }
    let directory = cache::directory(layout, "npm", &key, |out| {
        eprintln!("installing Foundry and solc (npm; cached afterwards)");
        for file in files {
            fs::copy(source.join(file), out.join(file)).with_context(|| format!("{file} can't be copied"))?;
        }
        // Their install scripts only check what npm has checked already.
        command::show(
            Command::new("npm").args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(out),
        )?;
        Toolchain { node_modules: out.join("node_modules") }.check()
    })?;
    Ok(Toolchain { node_modules: directory.join("node_modules") })
}

impl Toolchain {
    /// A local EVM node.
    pub fn anvil(&self) -> PathBuf {
        self.foundry("anvil")
    }

    /// Solidity builds and tests.
    pub fn forge(&self) -> PathBuf {
        self.foundry("forge")
    }

    /// Calls and transactions from a shell.
    pub fn cast(&self) -> PathBuf {
        self.foundry("cast")
    }

    /// Foundry's packages for this platform; those named after the tools alone
    /// only choose among them, at every start, with node.
    fn foundry(&self, tool: &str) -> PathBuf {
        self.node_modules.join(format!("@foundry-rs/{tool}-linux-amd64/bin/{tool}"))
    }

    fn check(&self) -> Result<()> {
        for tool in [self.anvil(), self.forge(), self.cast()] {
            if !tool.is_file() {
                bail!("npm installed no {}", tool.display());
            }
        }
        Ok(())
    }
}
