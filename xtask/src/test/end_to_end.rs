//! The tests that need a cluster, one after the other: they kill operators.

use std::process::Command;

use hawser_local::{Cluster, Layout};

use super::tally::{Tally, rust_harness};
use crate::{artifacts, workspace};

/// The main job and everything that can go wrong with it.
const LINE: &str = "e2e line";
/// Who sees which cards of the NVML double, and the local cluster's ups and downs: only where the cluster is ours.
const CARDS: &str = "e2e/local nvidia";
const LIFE_CYCLE: &str = "e2e/local life_cycle";

/// Without `filter` all of it. With `keep` the cluster is left as it is after the tests on it.
pub(crate) fn run(layout: &Layout, filter: &[String], keep: bool, tally: &mut Tally) {
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
    let mut tests = |name: &str, options: &[String]| {
        for program in programs.iter().filter(|program| program.name == name) {
            let mut test = Command::new(&program.executable);
            test.current_dir(&program.directory).envs(variables.iter().cloned());
            test.args(["--test-threads=1", "--nocapture"]).args(options);
            tally.tests(name, &mut test, rust_harness);
        }
    };
    tests(LINE, filter);
    if filter.is_empty() && cluster.supervisor().is_ok() {
        let ignored = ["--ignored".to_owned()];
        tests(CARDS, &ignored);
        if !keep {
            tests(LIFE_CYCLE, &ignored);
        }
    }
}
