//! Parts that need no cluster, run beside the tests on it: those wait most of their time, for blocks and kubelets.

use std::io::{BufRead as _, BufReader, PipeReader};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum as _;

use super::Part;
use super::tally::{Tally, closing_line};

/// Stands before each line of theirs.
const MARK: &str = "beside | ";

/// A run of some parts in a process of its own. It has only the processor time that the others leave.
#[derive(Debug)]
pub(crate) struct Beside {
    name: String,
    child: Child,
    output: JoinHandle<Output>,
}

/// What it printed, and how long it took to.
#[derive(Debug)]
struct Output {
    text: String,
    took: Duration,
}

impl Beside {
    pub(crate) fn start(parts: &[Part]) -> Result<Self> {
        let names: Vec<_> = parts.iter().filter_map(Part::to_possible_value).collect();
        let names: Vec<_> = names.iter().map(clap::builder::PossibleValue::get_name).collect();
        let mut command = Command::new("nice");
        command.arg("-n19").arg(std::env::current_exe()?).arg("test");
        command.args(names.iter().flat_map(|name| ["--only", *name]));
        let (output, input) = std::io::pipe()?;
        command.stdin(Stdio::null()).stdout(input.try_clone()?).stderr(input);
        let child = command.spawn().context("`nice` can't be run")?;
        let output = std::thread::spawn(move || shown(output));
        Ok(Self { name: format!("beside: {}", names.join(", ")), child, output })
    }

    /// Waits for their end and counts what they counted.
    pub(crate) fn finish(mut self, tally: &mut Tally) {
        // All of it is read before the process is waited for.
        let output = self.output.join();
        let took = output.as_ref().map_or(Duration::ZERO, |output| output.took);
        let counts = || {
            let text = output.ok().context("its output was lost")?.text;
            let status = self.child.wait()?;
            let (passed, failed) = closing_line(&text).with_context(|| format!("it ended with {status}"))?;
            ensure!(status.success() || failed > 0, "it ended with {status} after {passed} passed");
            Ok((passed, failed))
        };
        let counts = counts();
        tally.count(&self.name, took, counts);
    }
}

/// Shows lines as they come, and keeps them.
fn shown(output: PipeReader) -> Output {
    let begun = Instant::now();
    let mut text = String::new();
    for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        println!("{MARK}{line}");
        text.push_str(&line);
        text.push('\n');
    }
    Output { text, took: begun.elapsed() }
}
