//! The Rust workspace: format, lints, dependencies, tests.

use std::process::Command;

use hawser_local::{Layout, debian, npm};

use super::summary::{Expected, Summary, rust_harness};
use crate::tools::{self, Crate};
use crate::workspace::{self, cargo, show};

const CARGO_DENY: Crate = Crate { name: "cargo-deny", version: "0.20.2", install: &[] };
/// The package whose tests need the cluster.
const END_TO_END: &str = "e2e ";

/// What needs no test to run.
pub(crate) fn checks(layout: &Layout, summary: &mut Summary) {
    summary.check("cargo fmt", || show(cargo(layout).args(["fmt", "--all", "--check"])));
    summary.check("cargo deny", || {
        let deny = tools::from_crates_io(layout, &CARGO_DENY)?;
        show(Command::new(deny).current_dir(workspace::root()).args(["check", "bans", "licenses", "sources"]))
    });
    summary.check("cargo clippy", || {
        show(cargo(layout).args(["clippy", "--workspace", "--all-targets", "--locked", "--", "--deny", "warnings"]))
    });
}

/// Every test program but the end-to-end ones.
pub(crate) fn tests(layout: &Layout, summary: &mut Summary) {
    let mut programs = Vec::new();
    summary.check("the tests compile", || {
        programs = workspace::test_programs(layout)?;
        Ok(())
    });
    // A reader of evidence is written in it.
    summary.check("python3", || debian::python().map(drop));
    let Ok(toolchain) = npm::install(layout) else {
        return summary.check("npm tools", || npm::install(layout).map(drop));
    };
    for program in programs.iter().filter(|program| !program.name.starts_with(END_TO_END)) {
        let mut test = Command::new(&program.executable);
        test.current_dir(&program.directory).env("HAWSER_ANVIL", toolchain.anvil());
        summary.tests(&program.name, &mut test, rust_harness, Expected::Any);
    }
}
