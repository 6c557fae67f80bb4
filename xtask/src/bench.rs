//! Measurements with real parts, each of which writes a page of the documentation.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use hawser_local::{Layout, npm};

use crate::workspace::{self, Profile, cargo, program, show};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// What a large cluster costs the operator: writes docs/reference/scale.md, in about twenty minutes
    Scale(Scale),
}

#[derive(Debug, Args)]
pub(crate) struct Scale {
    /// A cluster so many times smaller, for trying it out: its figures are printed and not written
    #[arg(long, default_value_t = 1)]
    divide: usize,
    /// The operator as tests build it, in place of a build for release
    #[arg(long)]
    dev: bool,
    /// Fails where a goal is missed
    #[arg(long)]
    assert: bool,
}

pub(crate) fn run(command: &Command) -> Result<()> {
    let Command::Scale(options) = command;
    let layout = Layout::of_this_machine()?;
    let (profile, name) = if options.dev { (Profile::Dev, "dev") } else { (Profile::Release, "release") };
    show(cargo(&layout).args(["build", "--locked", "--workspace", "--bin", "hawser-operator", "--profile", name]))?;
    let operator = program(&layout, profile, "hawser-operator");
    let mut bench = cargo(&layout);
    // Built as the operator is: it makes fifty changes a second on the cores that it measures.
    bench.args(["bench", "--locked", "--profile", name, "--workspace", "--bench", "scale", "--"]);
    bench.arg("--operator").arg(operator).args(["--profile", name, "--divide", &options.divide.to_string()]);
    if options.divide == 1 {
        bench.arg("--page").arg(workspace::root().join("docs/reference/scale.md"));
    }
    if options.assert {
        bench.arg("--assert");
    }
    show(bench.env("PATH", with_anvil(&layout)?))
}

/// Where programs are looked for, anvil's folder first.
fn with_anvil(layout: &Layout) -> Result<std::ffi::OsString> {
    let anvil = npm::install(layout)?.anvil();
    let folder = anvil.parent().context("anvil lies in no folder")?.to_owned();
    let others = std::env::var_os("PATH").unwrap_or_default();
    Ok(std::env::join_paths(std::iter::once(folder).chain(std::env::split_paths(&others).collect::<Vec<PathBuf>>()))?)
}
