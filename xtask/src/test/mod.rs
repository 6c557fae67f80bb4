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

use clap::ValueEnum as _;

use end_to_end::Which;
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
    /// Instead of all that, what takes too long for every change: the contracts' deep profile (about half an hour) and
    /// the end-to-end tests of the module `deep`. With `--only contracts` or `--only end-to-end` one of them
    #[arg(long, conflicts_with = "filter")]
    deep: bool,
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

/// Runs the parts, cheapest refusals first, and prints `N passed, N failed`.
pub(crate) fn run(options: &Options) -> Result<()> {
    let begun = Instant::now();
    let parts = options.parts()?;
    let layout = Layout::of_this_machine()?;
    let wanted = |part| parts.contains(&part);
    let mut tally = Tally::default();
    if wanted(Part::Rust) {
        rust::checks(&layout, &mut tally);
    }
    if wanted(Part::Contracts) {
        contracts::run(&layout, options.deep, &mut tally);
    }
    if wanted(Part::Charts) {
        charts::run(&layout, &mut tally);
    }
    if wanted(Part::Rust) {
        rust::tests(&layout, &mut tally);
    }
    if wanted(Part::EndToEnd) {
        let which = if options.deep { Which::Deep } else { Which::Quick(&options.filter) };
        end_to_end::run(&layout, which, options.keep, &mut tally);
    }
    println!("\n{}", tally.account(begun.elapsed()));
    // CI reads this line: it stands alone.
    println!("{} passed, {} failed", tally.passed(), tally.failed());
    if tally.failed() > 0 || tally.passed() == 0 {
        bail!("not everything passed");
    }
    Ok(())
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
        use Part::{Charts, Contracts, EndToEnd, Rust};
        for (line, expected) in [
            ("", vec![Rust, Contracts, Charts, EndToEnd]),
            ("--only charts --only rust", vec![Charts, Rust]),
            ("--deep", vec![Contracts, EndToEnd]),
            ("--deep --only end-to-end", vec![EndToEnd]),
            ("--deep --only contracts --keep", vec![Contracts]),
        ] {
            assert_eq!(parts(line).unwrap(), expected, "{line}");
        }
    }

    #[test]
    fn deep_with_nothing_deep_in_it_is_an_error() {
        let error = parts("--deep --only contracts --only charts").unwrap_err().to_string();
        assert!(error.contains("Charts has no deep tests"), "{error}");
        assert!(parts("--deep --filter twice").is_err());
    }
}
