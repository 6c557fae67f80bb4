//! Parts that need no cluster, run in parallel to the tests on it: those wait most of their time, for blocks and kubelets.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum as _;

use super::Part;
use super::marked::{Ended, Marked};
use super::summary::{Summary, closing_line};

/// Stands before each line of theirs.
const MARK: &str = "parallel | ";

/// A run of some parts in a process of its own. It has only the processor time that the others leave.
#[derive(Debug)]
pub(crate) struct Parallel {
    name: String,
    process: Marked,
}

impl Parallel {
    pub(crate) fn start(parts: &[Part]) -> Result<Self> {
        let names: Vec<_> = parts.iter().filter_map(Part::to_possible_value).collect();
        let names: Vec<_> = names.iter().map(clap::builder::PossibleValue::get_name).collect();
        let mut command = Command::new("nice");
        command.arg("-n19").arg(std::env::current_exe()?).arg("test");
        command.args(names.iter().flat_map(|name| ["--only", *name]));
        Ok(Self { name: format!("in parallel: {}", names.join(", ")), process: Marked::start(command, MARK)? })
    }

    /// Waits for their end and counts what they counted.
    pub(crate) fn finish(self, summary: &mut Summary) {
        let ended = self.process.wait();
        let took = ended.as_ref().map_or(Duration::ZERO, |ended| ended.took);
        if let Ok(ended) = &ended {
            summary.failures_of(&ended.text);
        }
        summary.count(&self.name, took, ended.and_then(|ended| counted(&ended)));
    }
}

fn counted(Ended { status, text, .. }: &Ended) -> Result<(usize, usize)> {
    let (passed, failed) = closing_line(text).with_context(|| format!("it ended with {status}"))?;
    ensure!(status.success() || failed > 0, "it ended with {status} after {passed} passed");
    Ok((passed, failed))
}
