//! `cargo xtask demo`: one order's whole life on a cluster of its own.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};
use hawser_local::{Cluster, Layout, debian};

use crate::artifacts;
use crate::workspace::{self, Profile};

/// Options of `cargo xtask demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Write what the closing table says as JSON to this file
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Leave the cluster up afterwards and say how to look around
    #[arg(long)]
    keep: bool,
}

/// Sets everything up, runs the story, takes everything down.
pub(crate) fn run(options: &Options) -> Result<()> {
    let layout = Layout::of_this_machine()?;
    let cluster = Cluster::up()?;
    let ran = run_demo(&layout, &cluster, options);
    if options.keep {
        println!("the cluster is still up; to look around:");
        println!("  eval \"$(cargo xtask cluster env)\"");
        println!("  kubectl get gpuo,cjob,dnet -A");
        println!("  kubectl describe cjob -n demo");
        println!("  cargo xtask cluster down");
        return ran;
    }
    // What went wrong first is what a person must see first.
    let down = Cluster::down();
    ran.and(down)
}

fn run_demo(layout: &Layout, cluster: &Cluster, options: &Options) -> Result<()> {
    debian::require_for_images(artifacts::DEBIAN_PACKAGES)?;
    workspace::build(layout, Profile::Dev)?;
    let variables = artifacts::publish(layout, cluster.endpoints())?;
    let mut demo = Command::new(workspace::program(layout, Profile::Dev, "demo"));
    demo.envs(variables);
    if let Some(report) = &options.report {
        demo.arg("--report").arg(std::path::absolute(report)?);
    }
    let status = demo.status()?;
    if !status.success() {
        bail!("the demo failed; `cargo xtask demo --keep` leaves the cluster up to look at it");
    }
    Ok(())
}
