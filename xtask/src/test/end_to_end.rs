//! The tests that need a cluster, one after the other: they kill operators.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use hawser_local::{Cluster, Layout, debian, geth, output};

use super::tally::{Expected, Tally, rust_harness};
use crate::artifacts::{self, Variables};
use crate::workspace::{self, TestProgram};

/// The main job and everything that can go wrong with it.
const LINE: &str = "e2e line";
/// Who sees which cards of the NVML double, and the local cluster's ups and downs: only where the cluster is ours.
const CARDS: &str = "e2e/local nvidia";
const LIFE_CYCLE: &str = "e2e/local life_cycle";

/// The module of [`LINE`] whose tests take too long for every change.
const DEEP: &str = "deep::";

/// Which tests are run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Which<'a> {
    /// All but the deep ones; where there are names, those that one of them is part of.
    Quick(&'a [String]),
    /// The deep ones alone.
    Deep,
}

impl Which<'_> {
    /// What is asked of [`LINE`]'s test harness.
    fn of_line(self, cluster_is_ours: bool) -> Vec<String> {
        // Tests that only our own cluster can pass are ignored by themselves, and each says why.
        let all = cluster_is_ours.then_some("--include-ignored");
        let (of_these, filter): (&[_], &[_]) = match self {
            Which::Quick(filter) => (&["--skip", DEEP], filter),
            Which::Deep => (&[DEEP], &[]),
        };
        all.iter().chain(of_these).map(|option| (*option).to_owned()).chain(filter.iter().cloned()).collect()
    }

    /// Deep tests may all be such that only our own cluster can pass.
    const fn expected(self, cluster_is_ours: bool) -> Expected {
        match self {
            Which::Deep if !cluster_is_ours => Expected::Any,
            Which::Deep | Which::Quick(_) => Expected::Some,
        }
    }

    const fn is_all_quick(self) -> bool {
        matches!(self, Which::Quick([]))
    }
}

/// A cluster that is up, and everything compiled and pushed that is run on it.
pub(crate) struct Prepared {
    cluster: Cluster,
    programs: Vec<TestProgram>,
    variables: Variables,
}

impl Prepared {
    /// `None` where something is missing: that is counted, and unless it is to be kept nothing of the cluster is left.
    pub(crate) fn new(layout: &Layout, keep: bool, tally: &mut Tally) -> Option<Self> {
        let mut up = None;
        tally.check("cluster up", || {
            // A fresh one: what an earlier run left must neither help nor hinder. An existing cluster is not touched by this.
            Cluster::down()?;
            up = Some(Cluster::up()?);
            Ok(())
        });
        let mut prepared = None;
        if let Some(cluster) = up {
            tally.check("tests and images", || {
                debian::require_for_images(artifacts::DEBIAN_PACKAGES)?;
                let programs = workspace::test_programs(layout)?;
                let mut variables = artifacts::publish(layout, cluster.endpoints())?;
                if cluster.is_ours() {
                    variables.push(("HAWSER_GETH", geth(layout)?.display().to_string()));
                }
                prepared = Some(Self { cluster, programs, variables });
                Ok(())
            });
        }
        if prepared.is_none() && !keep {
            tally.check("cluster down leaves nothing behind", Cluster::down);
        }
        prepared
    }

    fn tests(&self, name: &str, options: &[String], expected: Expected, tally: &mut Tally) {
        match program(&self.programs, name) {
            Ok(program) => {
                let mut test = run_of(program, &self.variables);
                test.args(["--test-threads=1", "--nocapture"]).args(options);
                tally.tests(name, &mut test, rust_harness, expected);
            }
            Err(error) => tally.check(name, || Err(error)),
        }
    }
}

/// With `keep` the cluster is left as it is after the tests on it.
pub(crate) fn run(prepared: &Prepared, which: Which<'_>, keep: bool, tally: &mut Tally) {
    let ours = prepared.cluster.is_ours();
    prepared.tests(LINE, &which.of_line(ours), which.expected(ours), tally);
    if let Which::Quick(filter @ [_, ..]) = which {
        tally.check("each --filter names a test", || each_names_a_test(program(&prepared.programs, LINE)?, filter));
    }
    if which.is_all_quick() && ours {
        let ignored = ["--ignored".to_owned()];
        prepared.tests(CARDS, &ignored, Expected::Some, tally);
        if !keep {
            prepared.tests(LIFE_CYCLE, &ignored, Expected::Some, tally);
        }
    }
    if ours && !keep {
        tally.check("cluster down leaves nothing behind", Cluster::down);
    }
    if !ours && matches!(which, Which::Quick(_)) {
        println!("not run here: the cards of the NVML double, the local cluster's ups and downs");
    }
}

fn program<'a>(programs: &'a [TestProgram], name: &str) -> Result<&'a TestProgram> {
    let names = || programs.iter().map(|program| program.name.as_str()).collect::<Vec<_>>().join(", ");
    programs
        .iter()
        .find(|program| program.name == name)
        .with_context(|| format!("there is no test program {name:?} among {}", names()))
}

fn run_of(program: &TestProgram, variables: &Variables) -> Command {
    let mut test = Command::new(&program.executable);
    test.current_dir(&program.directory).envs(variables.iter().cloned());
    test
}

fn each_names_a_test(program: &TestProgram, filter: &[String]) -> Result<()> {
    let tests = output(Command::new(&program.executable).args(["--list", "--format=terse", "--skip", DEEP]))?;
    for name in filter {
        ensure!(
            tests.contains(name),
            "no end-to-end test has {name:?} in its name; there are, but for those of --deep,\n{tests}"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deep_tests_are_run_by_themselves() {
        let line = |which: Which<'_>, ours| which.of_line(ours).join(" ");
        let names = ["twice".to_owned(), "death".to_owned()];
        for (which, ours, expected) in [
            (Which::Quick(&[]), true, "--include-ignored --skip deep::"),
            (Which::Quick(&[]), false, "--skip deep::"),
            (Which::Quick(&names), true, "--include-ignored --skip deep:: twice death"),
            (Which::Deep, true, "--include-ignored deep::"),
            (Which::Deep, false, "deep::"),
        ] {
            assert_eq!(line(which, ours), expected, "{which:?}");
            let none_will_do = matches!(which, Which::Deep) && !ours;
            assert_eq!(matches!(which.expected(ours), Expected::Any), none_will_do, "{which:?}");
        }
    }

    #[test]
    fn a_test_program_that_is_not_there_is_an_error() {
        let line = TestProgram { name: LINE.to_owned(), executable: "/bin/a".into(), directory: "/".into() };
        assert!(program(std::slice::from_ref(&line), LINE).is_ok());
        let missing = program(&[line], CARDS).unwrap_err().to_string();
        assert!(missing.contains(CARDS) && missing.contains(LINE), "{missing}");
    }
}
