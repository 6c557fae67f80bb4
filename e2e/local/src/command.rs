//! Runs programs, with an error that says what they wrote.

use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, bail};

/// Runs `command` to its end and returns what it wrote to stdout. An exit
/// status other than 0 is an error that carries the command line and what it
/// wrote to stderr.
pub fn output(command: &mut Command) -> Result<String> {
    let Output { status, stdout, stderr } = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{} can't be run", command.get_program().display()))?;
    if !status.success() {
        let stderr = String::from_utf8_lossy(&stderr);
        bail!("`{}` ended with {status}:\n{}", line(command), stderr.trim_end());
    }
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}

/// Like [`output`], for commands whose output doesn't matter.
pub fn succeed(command: &mut Command) -> Result<()> {
    output(command).map(drop)
}

/// Runs `command` with its output on this process's stderr: for builds, whose
/// progress a person wants to see.
pub(crate) fn show(command: &mut Command) -> Result<()> {
    let status = command
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status()
        .with_context(|| format!("{} can't be run", command.get_program().display()))?;
    if !status.success() {
        bail!("`{}` ended with {status}", line(command));
    }
    Ok(())
}

fn line(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|part| part.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}
