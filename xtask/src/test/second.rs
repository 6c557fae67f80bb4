//! Tests on a second local cluster, in a world of its own beside the machine's cluster: those that kill the operator, which
//! all others need.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use hawser_local::{Cluster, Layout, World, images};
use serde::{Deserialize, Serialize};

use super::end_to_end::run_of;
use super::marked::Marked;
use super::summary::{Expected, Summary, rust_harness};
use crate::artifacts::Variables;
use crate::workspace::TestProgram;

/// What it is called in the account.
const NAME: &str = "second cluster";
/// Stands before each line of its tests.
const MARK: &str = "second | ";

/// What is to be done there. All that is built lies in folders that both worlds see, and its cluster has the addresses and paths of
/// the other.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Errand {
    pub(crate) program: TestProgram,
    pub(crate) options: Vec<String>,
    pub(crate) variables: Variables,
    /// What the first cluster's registry has.
    images: PathBuf,
    /// Where what came of it is written to.
    summary: PathBuf,
}

/// A process that does it.
#[derive(Debug)]
pub(crate) struct Second {
    world: World,
    process: Marked,
    summary: PathBuf,
}

impl Second {
    pub(crate) fn start(
        layout: &Layout,
        program: &TestProgram,
        options: Vec<String>,
        variables: &Variables,
    ) -> Result<Self> {
        let world = World::create(layout, "second")?;
        let errand = Errand {
            program: program.clone(),
            options,
            variables: variables.clone(),
            images: world.folder().join("images"),
            summary: world.folder().join("summary.json"),
        };
        images::copy_all(&layout.registry(), &errand.images)?;
        let file = world.folder().join("errand.json");
        fs::write(&file, serde_json::to_vec(&errand)?)
            .with_context(|| format!("{} can't be written", file.display()))?;
        let mut command = world.command(&std::env::current_exe()?);
        command.arg("errand").arg(&file);
        Ok(Self { process: Marked::start(command, MARK)?, summary: errand.summary, world })
    }

    /// Waits for its end and takes in what it counted. Nothing of its world is left then.
    pub(crate) fn finish(self, summary: &mut Summary) {
        let ended = self.process.wait();
        let came =
            ended.and_then(|ended| read(&self.summary).with_context(|| format!("it ended with {}", ended.status)));
        match came {
            Ok(came) => summary.take_in(NAME, came),
            Err(error) => summary.check(NAME, || Err(error)),
        }
        summary.check(&format!("{NAME}: nothing of its world is left"), || self.world.delete());
    }
}

/// `cargo xtask errand`: what [`Second::start`] has run in the other world.
pub(crate) fn run(file: &Path) -> Result<()> {
    let errand: Errand = read(file)?;
    let mut summary = Summary::default();
    let mut up = false;
    summary.check("cluster up", || {
        Cluster::up()?;
        images::copy_all(&errand.images, &Layout::of_this_machine()?.registry())?;
        up = true;
        Ok(())
    });
    if up {
        let mut tests = run_of(&errand.program, &errand.variables);
        summary.tests(&errand.program.name, tests.args(&errand.options), rust_harness, Expected::Some);
    }
    summary.check("cluster down leaves nothing behind", Cluster::down);
    fs::write(&errand.summary, serde_json::to_vec(&summary)?)
        .with_context(|| format!("{} can't be written", errand.summary.display()))
}

fn read<T: serde::de::DeserializeOwned>(file: &Path) -> Result<T> {
    let text = fs::read(file).with_context(|| format!("{} can't be read", file.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} can't be read", file.display()))
}
