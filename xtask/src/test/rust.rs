//! The Rust workspace: format, lints, dependencies, tests.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use hawser_local::{Layout, npm};

use super::tally::{Expected, Tally, rust_harness};
use crate::workspace::{self, cargo, show};

/// Pinned: its answers change with its version.
const CARGO_DENY: &str = "0.20.2";
/// The package whose tests need the cluster.
const END_TO_END: &str = "e2e ";

/// What needs no test to run.
pub(crate) fn checks(layout: &Layout, tally: &mut Tally) {
    tally.check("cargo fmt", || show(cargo(layout).args(["fmt", "--all", "--check"])));
    tally.check("cargo deny", || {
        let deny = cargo_deny(layout)?;
        show(Command::new(deny).current_dir(workspace::root()).args(["check", "bans", "licenses", "sources"]))
    });
    tally.check("cargo clippy", || {
        show(cargo(layout).args(["clippy", "--workspace", "--all-targets", "--locked", "--", "--deny", "warnings"]))
    });
}

/// Every test program but the end-to-end ones.
pub(crate) fn tests(layout: &Layout, tally: &mut Tally) {
    let mut programs = Vec::new();
    tally.check("the tests compile", || {
        programs = workspace::test_programs(layout)?;
        Ok(())
    });
    let Ok(toolchain) = npm::install(layout) else {
        return tally.check("npm tools", || npm::install(layout).map(drop));
    };
    for program in programs.iter().filter(|program| !program.name.starts_with(END_TO_END)) {
        let mut test = Command::new(&program.executable);
        test.current_dir(&program.directory).env("HAWSER_ANVIL", toolchain.anvil());
        tally.tests(&program.name, &mut test, rust_harness, Expected::Any);
    }
}

/// Builds cargo-deny unless the cache has it.
fn cargo_deny(layout: &Layout) -> Result<PathBuf> {
    let root = layout.cache().join("tools").join(format!("cargo-deny-{CARGO_DENY}"));
    let program = root.join("bin/cargo-deny");
    if !program.is_file() {
        eprintln!("building cargo-deny {CARGO_DENY} (cached afterwards)");
        show(
            cargo(layout)
                .args(["install", "cargo-deny", "--locked", "--debug", "--version", CARGO_DENY, "--root"])
                .arg(&root),
        )?;
    }
    Ok(program)
}
