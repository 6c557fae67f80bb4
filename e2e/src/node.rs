//! EVM nodes of a test's own: processes that end with it, and what they wrote.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

const LINES_SHOWN: usize = 40;

/// A program with a folder of its own, until it is dropped.
#[derive(Debug)]
pub(crate) struct Node {
    name: &'static str,
    process: Child,
    home: TempDir,
}

impl Node {
    /// Starts `program` with what `arguments` says of its folder.
    pub(crate) fn start(
        name: &'static str,
        program: &Path,
        arguments: impl FnOnce(&Path) -> Vec<String>,
    ) -> Result<Self> {
        // Another provider may be in the process already; ring is the one that the whole tree uses.
        _ = rustls::crypto::ring::default_provider().install_default();
        let home = tempfile::Builder::new().prefix(&format!("hawser-{name}-")).tempdir()?;
        let log = File::create(log_of(&home))?;
        let process = Command::new(program)
            .args(arguments(home.path()))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("{} can't be run", program.display()))?;
        Ok(Self { name, process, home })
    }

    /// What it wrote so far.
    ///
    /// # Errors
    /// When it has ended.
    pub(crate) fn said(&mut self) -> Result<String> {
        let ended = self.process.try_wait()?;
        ensure!(ended.is_none(), "{} ended: {}", self.name, ended.unwrap_or_default());
        Ok(self.log())
    }

    /// Adds the last of what it wrote to an error.
    pub(crate) fn explained<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(LINES_SHOWN)..];
            error.context(format!("{} wrote at last:\n{}", self.name, last.join("\n")))
        })
    }

    fn log(&self) -> String {
        std::fs::read_to_string(log_of(&self.home)).unwrap_or_default()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Waited for, so that its folder can be removed after it.
        if let Err(error) = self.process.kill().and_then(|()| self.process.wait()) {
            eprintln!("{} (process {}) can't be killed: {error}", self.name, self.process.id());
        }
    }
}

fn log_of(home: &TempDir) -> PathBuf {
    home.path().join("log")
}
