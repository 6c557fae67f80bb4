//! `cargo xtask test`: every check that there is, closed by one line of counts.

mod alerts;
mod charts;
mod contracts;
mod docs;
mod end_to_end;
mod failures;
mod marked;
mod parallel;
mod rust;
mod schemas;
mod second;
mod summary;
mod values;

use std::thread;
use std::time::Instant;

use anyhow::{Result, anyhow, bail};
use hawser_local::{Layout, debian};

use clap::ValueEnum as _;

use end_to_end::{Prepared, Which};
use parallel::Parallel;
pub(crate) use second::run as errand;
use summary::Summary;

use crate::{artifacts, workspace};

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
    /// Instead of all that, what takes too long for every change: the contracts' deep profile (about half an hour),
    /// mutations of their sources, and the end-to-end tests of the module `deep`. With `--only contracts`
    /// or `--only end-to-end` one of them
    #[arg(long)]
    deep: bool,
}

/// A part of the tests that can be run alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Spelling, the book and its links
    Docs,
    /// Format, clippy, cargo-deny, unit and integration tests
    Rust,
    /// forge's format, tests and generated files
    Contracts,
    /// helm lint, helm template through kubeconform
    Charts,
    /// The local cluster and everything on it
    EndToEnd,
}

impl Part {
    /// Whether some of it takes too long for every change.
    const fn has_deep_tests(self) -> bool {
        matches!(self, Self::Contracts | Self::EndToEnd)
    }
}

impl Options {
    /// The parts to run.
    fn parts(&self) -> Result<Vec<Part>> {
        let all = Part::value_variants();
        if !self.deep {
            return Ok(if self.only.is_empty() { all.to_vec() } else { self.only.clone() });
        }
        if let Some(part) = self.only.iter().find(|part| !part.has_deep_tests()) {
            bail!("--deep: the part {part:?} has no deep tests; contracts and end-to-end have");
        }
        let wanted = |part: &&Part| part.has_deep_tests() && (self.only.is_empty() || self.only.contains(part));
        Ok(all.iter().filter(wanted).copied().collect())
    }
}

/// Runs the parts and prints `N passed, N failed`.
pub(crate) fn run(options: &Options) -> Result<()> {
    let begun = Instant::now();
    let (on_cluster, others): (Vec<_>, Vec<_>) = options.parts()?.into_iter().partition(|part| *part == Part::EndToEnd);
    let layout = Layout::of_this_machine()?;
    let mut summary = Summary::default();
    // Deep tests take all of the machine: one part after the other.
    let in_parallel = if on_cluster.is_empty() || options.deep {
        without_cluster(&layout, &others, options.deep, &mut summary);
        &[]
    } else {
        others.as_slice()
    };
    if !on_cluster.is_empty() {
        let which = if options.deep { Which::Deep(&options.filter) } else { Which::Quick(&options.filter) };
        with_cluster(&layout, which, options.keep, in_parallel, &mut summary);
    }
    println!("\n{}", summary.account(begun.elapsed()));
    // CI reads this line: it stands alone.
    println!("{} passed, {} failed", summary.passed(), summary.failed());
    if summary.failed() > 0 || summary.passed() == 0 {
        bail!("not everything passed");
    }
    Ok(())
}

/// Cheapest refusals first.
fn without_cluster(layout: &Layout, parts: &[Part], deep: bool, summary: &mut Summary) {
    let wanted = |part| parts.contains(&part);
    if wanted(Part::Docs) {
        docs::run(layout, summary);
    }
    if wanted(Part::Rust) {
        rust::checks(layout, summary);
    }
    if wanted(Part::Contracts) {
        contracts::run(layout, deep, summary);
    }
    if wanted(Part::Charts) {
        charts::run(layout, summary);
    }
    if wanted(Part::Rust) {
        rust::tests(layout, summary);
    }
}

/// Everything is compiled while the cluster comes up: where nothing is cached, Go compiles that for a quarter of an hour. The
/// others are begun then, as cargo lets only one compile at a time.
fn with_cluster(layout: &Layout, which: Which<'_>, keep: bool, in_parallel: &[Part], summary: &mut Summary) {
    // First of all: apt-get runs alone.
    summary.check("packages of Debian", || debian::require_for_images(artifacts::DEBIAN_PACKAGES));
    let (prepared, others) = thread::scope(|scope| {
        let compiling = scope.spawn(|| {
            let programs = workspace::test_programs(layout);
            (programs, (!in_parallel.is_empty()).then(|| Parallel::start(in_parallel)))
        });
        let mut others = None;
        let programs = || {
            let (programs, begun) = compiling.join().map_err(|_| anyhow!("whoever compiles the tests panicked"))?;
            others = begun;
            programs
        };
        (Prepared::new(layout, programs, keep, summary), others)
    });
    if let Some(prepared) = &prepared {
        end_to_end::run(layout, prepared, which, keep, summary);
    }
    match others {
        None => {}
        Some(Ok(others)) => others.finish(summary),
        Some(Err(error)) => summary.check("the other parts", || Err(error)),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn parts(line: &str) -> Result<Vec<Part>> {
        Line::try_parse_from(["test"].into_iter().chain(line.split_whitespace()))?.options.parts()
    }

    #[test]
    fn deep_runs_only_what_is_deep() {
        use Part::{Charts, Contracts, Docs, EndToEnd, Rust};
        for (line, expected) in [
            ("", vec![Docs, Rust, Contracts, Charts, EndToEnd]),
            ("--only charts --only rust", vec![Charts, Rust]),
            ("--deep", vec![Contracts, EndToEnd]),
            ("--deep --only end-to-end", vec![EndToEnd]),
            ("--deep --only contracts --keep", vec![Contracts]),
            ("--deep --only end-to-end --filter upgrade", vec![EndToEnd]),
        ] {
            assert_eq!(parts(line).unwrap(), expected, "{line}");
        }
    }

    #[test]
    fn deep_with_nothing_deep_in_it_is_an_error() {
        let error = parts("--deep --only contracts --only charts").unwrap_err().to_string();
        assert!(error.contains("Charts has no deep tests"), "{error}");
    }
}
