//! The tests that need a cluster. They wait most of their time, so they run side by side: those that share an operator on
//! the machine's cluster, and those that kill it, one after the other, on a second one in a world of its own.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use hawser_local::{Cluster, Layout, geth, output};

use super::second::Second;
use super::summary::{Expected, Summary, rust_harness};
use crate::artifacts::{self, Variables};
use crate::workspace::TestProgram;

/// The main job and everything that can go wrong with it.
const SCENARIOS: &str = "e2e scenarios";
/// Who sees which cards of the NVML double, and the local cluster's ups and downs: only where the cluster is ours.
const CARDS: &str = "e2e/local nvidia";
/// Operators on control planes of their own, whose API servers freeze and hang.
const PLANE: &str = "e2e plane";
const LIFE_CYCLE: &str = "e2e/local life_cycle";

/// The module of [`SCENARIOS`] whose tests take too long for every change.
const DEEP: &str = "deep::";
/// The module of [`SCENARIOS`] whose tests kill the operator.
const DEADLY: &str = "deadly::";

/// Tests of [`SCENARIOS`] that run at a time: more than the cluster's GPUs let begin.
const SIDE_BY_SIDE: usize = 16;

/// Which tests are run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Which<'a> {
    /// All but the deep ones; where there are names, those that one of them is part of.
    Quick(&'a [String]),
    /// The deep ones alone; where there are names, the same.
    Deep(&'a [String]),
}

/// How many tests can run side by side, and their names.
type Round<'t> = (usize, Vec<&'t str>);

impl<'a> Which<'a> {
    /// Of all tests of [`SCENARIOS`] those to run, in rounds.
    fn rounds<'t>(self, tests: &[&'t str]) -> Vec<Round<'t>> {
        let filter = self.filter();
        let meant = |test: &str| filter.is_empty() || filter.iter().any(|name| test.contains(name));
        let these = |wanted: &dyn Fn(&str) -> bool| {
            tests.iter().copied().filter(|test| self.is_of(test) && wanted(test) && meant(test)).collect()
        };
        let kills = |test: &str| test.starts_with(DEADLY);
        let rounds: Vec<Round<'_>> = match self {
            Which::Deep(_) => vec![(1, these(&|_| true))],
            Which::Quick(_) => vec![(SIDE_BY_SIDE, these(&|test| !kills(test))), (1, these(&kills))],
        };
        rounds.into_iter().filter(|(_, round)| !round.is_empty()).collect()
    }

    /// Whether a test of this name is of the kind.
    fn is_of(self, test: &str) -> bool {
        test.starts_with(DEEP) == matches!(self, Which::Deep(_))
    }

    const fn filter(self) -> &'a [String] {
        match self {
            Which::Quick(filter) | Which::Deep(filter) => filter,
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
    /// `programs` waits until the tests are compiled. `None` where something is missing: that is counted, and unless it is
    /// to be kept nothing of the cluster is left.
    pub(crate) fn new(
        layout: &Layout,
        programs: impl FnOnce() -> Result<Vec<TestProgram>>,
        keep: bool,
        summary: &mut Summary,
    ) -> Option<Self> {
        let mut up = None;
        summary.check("cluster up", || {
            // A fresh one: what an earlier run left must neither help nor hinder. An existing cluster is not touched by this.
            Cluster::down()?;
            up = Some(Cluster::up()?);
            Ok(())
        });
        let programs = programs();
        let mut prepared = None;
        if let Some(cluster) = up {
            summary.check("tests and images", || {
                let programs = programs?;
                let mut variables = artifacts::publish(layout, cluster.endpoints())?;
                if cluster.is_ours() {
                    variables.push(("HAWSER_GETH".to_owned(), geth(layout)?.display().to_string()));
                }
                prepared = Some(Self { cluster, programs, variables });
                Ok(())
            });
        }
        if prepared.is_none() && !keep {
            summary.check("cluster down leaves nothing behind", Cluster::down);
        }
        prepared
    }

    fn tests(&self, name: &str, options: &[String], expected: Expected, summary: &mut Summary) {
        match program(&self.programs, name) {
            Ok(program) => summary.tests(name, run_of(program, &self.variables).args(options), rust_harness, expected),
            Err(error) => summary.check(name, || Err(error)),
        }
    }

    /// The options of [`SCENARIOS`] for each round to run.
    fn rounds(&self, which: Which<'_>) -> Result<Vec<Vec<String>>> {
        let tests = tests_of(program(&self.programs, SCENARIOS)?)?;
        let tests: Vec<_> = tests.iter().map(String::as_str).collect();
        each_names_a_test(&tests, which)?;
        // Those that only our own cluster can pass are ignored by themselves, and each says why.
        let usual = if self.cluster.is_ours() { &["--exact", "--include-ignored"][..] } else { &["--exact"] };
        // What a long test says of its progress is shown as it comes.
        let shown = matches!(which, Which::Deep(_)).then_some("--nocapture");
        let options = |(at_a_time, round): Round<'_>| {
            let threads = format!("--test-threads={at_a_time}");
            usual.iter().copied().chain([threads.as_str()]).chain(shown).chain(round).map(str::to_owned).collect()
        };
        Ok(which.rounds(&tests).into_iter().map(options).collect())
    }

    /// Runs the rounds: where there are two, the second one on a cluster of its own beside the first, which goes on.
    fn scenarios(
        &self,
        layout: &Layout,
        which: Which<'_>,
        keep: bool,
        summary: &mut Summary,
    ) -> Result<Option<Second>> {
        let mut rounds = self.rounds(which)?;
        let ours = self.cluster.is_ours();
        // A cluster that is kept has all of it on it: the second one goes with its world.
        let apart = if ours && !keep && rounds.len() > 1 { rounds.pop() } else { None };
        let second =
            apart.map(|options| Second::start(layout, program(&self.programs, SCENARIOS)?, options, &self.variables));
        let second = second.transpose()?;
        let expected = if ours { Expected::Some } else { Expected::Any };
        for options in rounds {
            self.tests(SCENARIOS, &options, expected, summary);
        }
        Ok(second)
    }
}

/// With `keep` the cluster is left as it is after the tests on it.
pub(crate) fn run(layout: &Layout, prepared: &Prepared, which: Which<'_>, keep: bool, summary: &mut Summary) {
    let ours = prepared.cluster.is_ours();
    let second = prepared.scenarios(layout, which, keep, summary).unwrap_or_else(|error| {
        summary.check(SCENARIOS, || Err(error));
        None
    });
    if which.is_all_quick() && ours {
        prepared.tests(PLANE, &[], Expected::Some, summary);
        let options = ["--ignored", "--test-threads=1"].map(str::to_owned);
        prepared.tests(CARDS, &options, Expected::Some, summary);
        if !keep {
            prepared.tests(LIFE_CYCLE, &options, Expected::Some, summary);
        }
    }
    if ours && !keep {
        summary.check("cluster down leaves nothing behind", Cluster::down);
    }
    if let Some(second) = second {
        second.finish(summary);
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

/// A test program with what it is told.
pub(super) fn run_of(program: &TestProgram, variables: &Variables) -> Command {
    let mut test = Command::new(&program.executable);
    test.current_dir(&program.directory).envs(variables.iter().cloned());
    // Errors say what was tried; where in the tests they were made says nothing more.
    test.env("RUST_LIB_BACKTRACE", "0");
    test
}

fn tests_of(program: &TestProgram) -> Result<Vec<String>> {
    let listed = output(Command::new(&program.executable).args(["--list", "--format=terse"]))?;
    Ok(listed.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
}

fn each_names_a_test(tests: &[&str], which: Which<'_>) -> Result<()> {
    let of_the_kind: Vec<_> = tests.iter().copied().filter(|test| which.is_of(test)).collect();
    let kind = if matches!(which, Which::Deep(_)) { "with --deep" } else { "but for those of --deep" };
    for name in which.filter() {
        ensure!(
            of_the_kind.iter().any(|test| test.contains(name)),
            "no end-to-end test has {name:?} in its name; there are, {kind},\n{}",
            of_the_kind.join("\n")
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_kills_the_operator_runs_after_those_that_share_it_and_deep_tests_by_themselves() {
        let tests = ["deadly::twice::a", "deep::day::a", "deep::upgrade::a", "lifecycle::b", "faults::a_reorg"];
        let rounds = |which: Which<'_>| which.rounds(&tests);
        let (shared, deadly) = (vec!["lifecycle::b", "faults::a_reorg"], vec!["deadly::twice::a"]);
        assert_eq!(rounds(Which::Quick(&[])), [(SIDE_BY_SIDE, shared), (1, deadly.clone())]);
        assert_eq!(rounds(Which::Deep(&[])), [(1, vec!["deep::day::a", "deep::upgrade::a"])]);
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(rounds(Which::Quick(&names(&["twice"]))), [(1, deadly.clone())]);
        let both = [(SIDE_BY_SIDE, vec!["faults::a_reorg"]), (1, deadly)];
        assert_eq!(rounds(Which::Quick(&names(&["reorg", "twice"]))), both);
        assert!(rounds(Which::Quick(&names(&["day"]))).is_empty());
        assert_eq!(rounds(Which::Deep(&names(&["upgrade"]))), [(1, vec!["deep::upgrade::a"])]);
        assert!(rounds(Which::Deep(&names(&["reorg"]))).is_empty());
    }

    #[test]
    fn a_name_that_no_test_of_the_kind_has_is_refused() {
        let tests = ["deep::day", "lifecycle::b"];
        let names = ["b".to_owned(), "day".to_owned()];
        assert!(each_names_a_test(&tests, Which::Quick(&names[..1])).is_ok());
        assert!(each_names_a_test(&tests, Which::Deep(&names[1..])).is_ok());
        for (which, name, there) in
            [(Which::Quick(&names), "\"day\"", "lifecycle::b"), (Which::Deep(&names), "\"b\"", "deep::day")]
        {
            let refused = each_names_a_test(&tests, which).unwrap_err().to_string();
            assert!(refused.contains(name) && refused.contains(there), "{refused}");
        }
    }

    #[test]
    fn a_test_program_that_is_not_there_is_an_error() {
        let line = TestProgram { name: SCENARIOS.to_owned(), executable: "/bin/a".into(), directory: "/".into() };
        assert!(program(std::slice::from_ref(&line), SCENARIOS).is_ok());
        let missing = program(&[line], CARDS).unwrap_err().to_string();
        assert!(missing.contains(CARDS) && missing.contains(SCENARIOS), "{missing}");
    }
}
