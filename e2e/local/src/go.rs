//! Go tools from pinned modules: `go/NAME/{go.mod,go.sum}` in this crate's folder.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result};

use crate::{Layout, cache, cache::Key, command};

/// One folder under `go/` and what is built from it.
#[derive(Clone, Copy, Debug)]
pub struct Module<'a> {
    /// Folder under `go/`.
    pub folder: &'a str,
    /// The module that the tools' version is taken from.
    pub main: &'a str,
    /// Packages to build and the names that their binaries get.
    pub tools: &'a [Tool<'a>],
    /// Comma-separated build tags, or nothing.
    pub tags: &'a str,
    /// Linker flags besides `-s -w`; `{version}` stands for the main module's version.
    pub ldflags: &'a str,
    /// Whether the tools need cgo (and so a C compiler).
    pub cgo: bool,
}

/// A binary and the package it is built from.
#[derive(Clone, Copy, Debug)]
pub struct Tool<'a> {
    pub binary: &'a str,
    pub package: &'a str,
}

/// A module's binaries, built.
#[derive(Clone, Debug)]
pub struct Built {
    pub directory: PathBuf,
    /// Of the main module, as go.mod has it (`v1.34.2`).
    pub version: String,
}

impl Built {
    /// The path of the binary called `name`.
    pub fn binary(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

/// The built tools of `module`, from the cache if they are there.
pub fn build(layout: &Layout, module: &Module<'_>) -> Result<Built> {
    let source = layout.source().join("go").join(module.folder);
    let manifest = source.join("go.mod");
    let requirements =
        fs::read_to_string(&manifest).with_context(|| format!("{} can't be read", manifest.display()))?;
    let version = required_version(&requirements, module.main).unwrap_or("v0.0.0");
    let ldflags = format!("-s -w {}", module.ldflags.replace("{version}", version));

    let mut key = Key::default().with(&requirements).with(&ldflags).with(module.tags).with([u8::from(module.cgo)]);
    for optional in ["go.sum", "main.go"] {
        let path = source.join(optional);
        if path.is_file() {
            key = key.with_file(&path)?;
        }
    }
    for tool in module.tools {
        key = key.with(tool.binary).with(tool.package);
    }

    let directory = cache::directory(layout, &format!("go/{}", module.folder), &key, |out| {
        eprintln!("building {} {version} (Go; cached afterwards)", module.folder);
        let mut go = Command::new("go");
        go.arg("build").current_dir(&source).args(["-trimpath", "-ldflags", &ldflags, "-tags", module.tags]);
        // GOTOOLCHAIN: a newer Go would have to be downloaded, and there may be nowhere to get it.
        go.env("CGO_ENABLED", if module.cgo { "1" } else { "0" })
            .env("GOTOOLCHAIN", "local")
            .env("GOFLAGS", "-mod=readonly");
        go.arg("-o").arg(out).args(module.tools.iter().map(|tool| tool.package));
        command::show(&mut go)?;
        for tool in module.tools {
            let built = out.join(go_binary_name(tool.package));
            if !built.ends_with(tool.binary) {
                fs::rename(&built, out.join(tool.binary))
                    .with_context(|| format!("{} was not built", built.display()))?;
            }
        }
        Ok(())
    })?;
    Ok(Built { directory, version: version.to_owned() })
}

/// The version that a go.mod requires of `module`.
fn required_version<'a>(go_mod: &'a str, module: &str) -> Option<&'a str> {
    go_mod.lines().find_map(|line| {
        let line = line.trim().trim_start_matches("require ");
        line.strip_prefix(module)?.strip_prefix(' ')?.split_whitespace().next()
    })
}

/// The name that `go build -o DIR/` gives: the last element of the import
/// path that isn't a major version.
fn go_binary_name(package: &str) -> &str {
    let is_major = |element: &str| {
        element.strip_prefix('v').is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
    };
    package.rsplit('/').find(|element| !is_major(element)).unwrap_or(package)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_comes_from_the_requirement_in_either_form() {
        let go_mod = "module x\n\nrequire go.etcd.io/etcd/server/v3 v3.6.5\n\nrequire (\n\tk8s.io/api v0.34.2 // indirect\n\tk8s.io/kubernetes v1.34.2\n)\n";
        assert_eq!(required_version(go_mod, "k8s.io/kubernetes"), Some("v1.34.2"));
        assert_eq!(required_version(go_mod, "go.etcd.io/etcd/server/v3"), Some("v3.6.5"));
        assert_eq!(required_version(go_mod, "k8s.io"), None);
    }

    #[test]
    fn a_binary_is_named_after_the_last_element_that_is_no_major_version() {
        assert_eq!(go_binary_name("go.etcd.io/etcd/server/v3"), "server");
        assert_eq!(go_binary_name("k8s.io/kubernetes/cmd/kubelet"), "kubelet");
        assert_eq!(go_binary_name("example.com/v"), "v");
    }
}
