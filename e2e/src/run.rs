//! Running a program and reading what it said.

use std::ffi::OsStr;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use tokio::process::Command;

/// Runs `program` and gives its stdout.
///
/// # Errors
/// When it can't be started or exits non-zero; then with what it wrote.
pub async fn stdout<S: AsRef<OsStr>>(program: S, args: &[&str]) -> Result<String> {
    command(Command::new(program.as_ref()).args(args)).await
}

/// Runs a prepared command and gives its stdout.
///
/// # Errors
/// When it can't be started or exits non-zero; then with what it wrote.
pub async fn command(command: &mut Command) -> Result<String> {
    let shown = format!("{:?}", command.as_std());
    let output = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("can't start {shown}"))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!("{shown}: {}\n{stdout}{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(stdout)
}
