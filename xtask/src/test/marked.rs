//! A process beside this one, whose lines are shown as they come, each with a mark before it.

use std::io::{BufRead as _, BufReader, PipeReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

#[derive(Debug)]
pub(crate) struct Marked {
    child: Child,
    output: JoinHandle<Output>,
}

/// What it printed, and how long it took to.
#[derive(Debug)]
struct Output {
    text: String,
    took: Duration,
}

/// One that is over.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) text: String,
    pub(crate) took: Duration,
}

impl Marked {
    // By value: the command holds the ends of a pipe that has to be closed when the process is over.
    pub(crate) fn start(mut command: Command, mark: &'static str) -> Result<Self> {
        let (output, input) = std::io::pipe()?;
        command.stdin(Stdio::null()).stdout(input.try_clone()?).stderr(input);
        let program = command.get_program().display().to_string();
        let child = command.spawn().with_context(|| format!("`{program}` can't be run"))?;
        let output = std::thread::spawn(move || shown(output, mark));
        Ok(Self { child, output })
    }

    pub(crate) fn wait(mut self) -> Result<Ended> {
        // All of it is read before the process is waited for.
        let output = self.output.join();
        let status = self.child.wait()?;
        let Output { text, took } = output.ok().context("its output was lost")?;
        Ok(Ended { status, text, took })
    }
}

/// Shows lines as they come, and keeps them.
fn shown(output: PipeReader, mark: &str) -> Output {
    let begun = Instant::now();
    let mut text = String::new();
    for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        println!("{mark}{line}");
        text.push_str(&line);
        text.push('\n');
    }
    Output { text, took: begun.elapsed() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_says_and_how_it_ends_is_kept() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; echo two >&2; exit 3"]);
        let ended = Marked::start(command, "here | ").unwrap().wait().unwrap();
        assert_eq!((ended.status.code(), ended.text.as_str()), (Some(3), "one\ntwo\n"));
    }
}
