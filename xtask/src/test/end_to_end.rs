//! The tests that need a cluster, one after the other: they kill operators.

use std::process::Command;

use hawser_local::{Cluster, Layout};

use super::tally::{Tally, rust_harness};
use crate::{artifacts, workspace};

pub(crate) fn run(layout: &Layout, filter: Option<&str>, tally: &mut Tally) {
    let mut cluster = None;
    tally.check("cluster up", || {
        // A fresh one: what an earlier run left must neither help nor hinder. An existing cluster is not touched by this.
        Cluster::down()?;
        cluster = Some(Cluster::up()?);
        Ok(())
    });
    let Some(cluster) = cluster else { return };
    let mut prepared = None;
    tally.check("images", || {
        let programs = workspace::test_programs(layout)?;
        prepared = Some((programs, artifacts::publish(layout, cluster.endpoints())?));
        Ok(())
    });
    let Some((programs, variables)) = prepared else { return };
    for program in programs.iter().filter(|program| program.name == "e2e line") {
        let mut test = Command::new(&program.executable);
        test.current_dir(&program.directory)
            .envs(variables.iter().cloned())
            .args(["--test-threads=1", "--nocapture"])
            .args(filter);
        tally.tests("end to end", &mut test, rust_harness);
    }
}
