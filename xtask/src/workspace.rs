//! Building the workspace with cargo, once for everything: programs, images and tests.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use hawser_local::Layout;

/// Root of the checkout.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// A cargo command on the whole workspace, so that features are resolved in the same way each time, with a target
/// directory that outlives the checkout's contents.
pub(crate) fn cargo(layout: &Layout) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root()).stdin(Stdio::null());
    // What `cargo xtask` was started with says xtask's own name and version: build scripts that look at it (ring's) would
    // run again, and everything above them be compiled again.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
            cargo.env_remove(name);
        }
    }
    cargo.env("CARGO_TARGET_DIR", target(layout));
    cargo
}

/// One for each place of a checkout. Cargo tells sources apart by their path within the workspace and their times: two
/// checkouts that shared one would be handed each other's programs, with the other's path in them.
fn target(layout: &Layout) -> PathBuf {
    let place = root().display().to_string();
    let name = place.trim_start_matches('/').replace('/', "-");
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| layout.cache().join("target").join(name), PathBuf::from)
}

/// What programs are compiled for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Profile {
    /// Tests and the demo.
    Dev,
    /// A provider's cluster.
    Release,
}

/// A program of the workspace, built by [`build`] or, for tests, by [`test_programs`].
pub(crate) fn program(layout: &Layout, profile: Profile, name: &str) -> PathBuf {
    let folder = match profile {
        Profile::Dev => "debug",
        Profile::Release => "release",
    };
    target(layout).join(folder).join(name)
}

/// Builds every program and library of the workspace.
pub(crate) fn build(layout: &Layout, profile: Profile) -> Result<()> {
    let profile = match profile {
        Profile::Dev => "dev",
        Profile::Release => "release",
    };
    show(cargo(layout).args(["build", "--workspace", "--locked", "--profile", profile]))
}

/// A compiled test program.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct TestProgram {
    /// `package target`.
    pub(crate) name: String,
    pub(crate) executable: PathBuf,
    /// The package's folder, in which cargo would run it.
    pub(crate) directory: PathBuf,
}

/// Compiles all tests, and with them every program, without running any.
pub(crate) fn test_programs(layout: &Layout) -> Result<Vec<TestProgram>> {
    let output = cargo(layout)
        .args(["test", "--workspace", "--locked", "--no-run", "--message-format", "json-render-diagnostics"])
        .stderr(Stdio::inherit())
        .output()
        .context("cargo can't be run")?;
    if !output.status.success() {
        bail!("the tests don't compile");
    }
    String::from_utf8_lossy(&output.stdout).lines().filter_map(|line| test_program(line).transpose()).collect()
}

fn test_program(message: &str) -> Result<Option<TestProgram>> {
    let message: serde_json::Value = serde_json::from_str(message).context("cargo's message is no JSON")?;
    let (true, Some(executable)) = (message["profile"]["test"] == true, message["executable"].as_str()) else {
        return Ok(None);
    };
    let manifest = Path::new(message["manifest_path"].as_str().context("a message of cargo without manifest_path")?);
    let directory = manifest.parent().context("a manifest without a folder")?.to_owned();
    let package = directory.strip_prefix(root()).unwrap_or(&directory).display().to_string();
    let target = message["target"]["name"].as_str().unwrap_or_default();
    Ok(Some(TestProgram { name: format!("{package} {target}"), executable: executable.into(), directory }))
}

/// Runs a command with its output shown.
pub(crate) fn show(command: &mut Command) -> Result<()> {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let shown = words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    let status = command.stdin(Stdio::null()).status().with_context(|| format!("{shown} can't be run"))?;
    if !status.success() {
        bail!("{shown} ended with {status}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_test_programs_are_taken_from_cargos_messages() {
        let manifest = root().join("crds/Cargo.toml");
        let message = |test: bool, executable: &str| {
            format!(
                r#"{{"profile":{{"test":{test}}},"executable":{executable},"manifest_path":"{}","target":{{"name":"t"}}}}"#,
                manifest.display()
            )
        };
        assert!(test_program(&message(false, r#""/bin/a""#)).unwrap().is_none());
        assert!(test_program(&message(true, "null")).unwrap().is_none());
        let found = test_program(&message(true, r#""/bin/a""#)).unwrap().unwrap();
        assert_eq!((found.name.as_str(), found.executable.as_path()), ("crds t", Path::new("/bin/a")));
    }
}
