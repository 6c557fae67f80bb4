//! `cargo xtask test`: every check that there is, closed by one line of counts.

mod charts;
mod contracts;
mod end_to_end;
mod rust;
mod schemas;
mod tally;

use std::time::Instant;

use anyhow::{Result, bail};
use hawser_local::Layout;

use tally::Tally;

/// Options of `cargo xtask test`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only these parts
    #[arg(long = "only", value_enum)]
    only: Vec<Part>,
    /// Leave the cluster up afterwards
    #[arg(long)]
    keep: bool,
    /// Only end-to-end tests whose name contains this (or another such)
    #[arg(long, value_name = "NAME")]
    filter: Vec<String>,
}

/// A part of the tests that can be run alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Format, clippy, cargo-deny, unit and integration tests
    Rust,
    /// forge's format, tests and generated files
    Contracts,
    /// helm lint, helm template through kubeconform
    Charts,
    /// The local cluster and everything on it
    EndToEnd,
}

/// Runs the parts, cheapest refusals first, and prints `N passed, N failed`.
pub(crate) fn run(options: &Options) -> Result<()> {
    let begun = Instant::now();
    let layout = Layout::of_this_machine()?;
    let wanted = |part| options.only.is_empty() || options.only.contains(&part);
    let mut tally = Tally::default();
    if wanted(Part::Rust) {
        rust::checks(&layout, &mut tally);
    }
    if wanted(Part::Contracts) {
        contracts::run(&layout, &mut tally);
    }
    if wanted(Part::Charts) {
        charts::run(&layout, &mut tally);
    }
    if wanted(Part::Rust) {
        rust::tests(&layout, &mut tally);
    }
    if wanted(Part::EndToEnd) {
        end_to_end::run(&layout, &options.filter, options.keep, &mut tally);
    }
    println!("\n{}", tally.account(begun.elapsed()));
    // CI reads this line: it stands alone.
    println!("{} passed, {} failed", tally.passed(), tally.failed());
    if tally.failed() > 0 || tally.passed() == 0 {
        bail!("not everything passed");
    }
    Ok(())
}
