//! What passed and failed in each step, and how long it took.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::failures::{self, Failure};

/// Reads the number of passed and failed tests out of a program's output.
type Count = fn(&str) -> Option<(usize, usize)>;

/// Tests that are named as the slowest.
const SLOWEST: usize = 10;

/// How many tests a program must have run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expected {
    /// It may have none.
    Any,
    /// At least one.
    Some,
}

/// What passed, what failed, and how long each step took.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Summary {
    steps: Vec<Step>,
    /// What tests that are timed one by one said of themselves: seconds, and the line.
    timed: Vec<(f32, String)>,
    /// What went wrong, as it was said.
    failures: Vec<Failure>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Step {
    name: String,
    took: Duration,
    passed: usize,
    failed: usize,
}

impl Summary {
    pub(crate) fn passed(&self) -> usize {
        self.steps.iter().map(|step| step.passed).sum()
    }

    pub(crate) fn failed(&self) -> usize {
        self.steps.iter().map(|step| step.failed).sum()
    }

    /// Runs one check that passes or fails as a whole.
    pub(crate) fn check(&mut self, name: &str, check: impl FnOnce() -> Result<()>) {
        self.step(name, || check().map(|()| (1, 0)));
    }

    /// Runs a test program and counts the tests that it says it ran. One that fails without saying so counts as one
    /// failure, and so does one that runs no test where some are expected.
    pub(crate) fn tests(&mut self, name: &str, command: &mut Command, count: Count, expected: Expected) {
        let (mut timed, mut failures) = (Vec::new(), Vec::new());
        self.step(name, || {
            let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
            let mut child = child.with_context(|| format!("{} can't be run", command.get_program().display()))?;
            let mut text = String::new();
            // Shown as it comes: some of these run for minutes.
            for line in child.stdout.take().into_iter().flat_map(|stdout| BufReader::new(stdout).lines()) {
                let line = line?;
                println!("{line}");
                text.push_str(&line);
                text.push('\n');
            }
            timed.extend(text.lines().filter_map(timed_line));
            failures.extend(failures::told(&text));
            let succeeded = child.wait()?.success();
            let (passed, failed) = count(&text).unwrap_or_default();
            ensure!(
                (passed, failed) != (0, 0) || !succeeded || matches!(expected, Expected::Any),
                "{name} ran no test, and there must be some: is a name in --filter mistyped?"
            );
            Ok((passed, failed.max(usize::from(!succeeded))))
        });
        self.timed.append(&mut timed);
        self.failures.append(&mut failures);
    }

    fn step(&mut self, name: &str, run: impl FnOnce() -> Result<(usize, usize)>) {
        println!("\n=== {name}");
        let begun = Instant::now();
        let counts = run();
        self.count(name, begun.elapsed(), counts);
    }

    /// Takes in a step that is over; an error of it is one failure.
    pub(crate) fn count(&mut self, name: &str, took: Duration, counts: Result<(usize, usize)>) {
        let (passed, failed) = counts.unwrap_or_else(|error| {
            eprintln!("error: {error:#}");
            self.failures.push(Failure::new(name, &format!("{error:#}")));
            (0, 1)
        });
        println!("=== {name}: {passed} passed, {failed} failed, {:.1} s", took.as_secs_f32());
        self.steps.push(Step { name: name.to_owned(), took, passed, failed });
    }

    /// Takes in everything that was counted elsewhere, in `place`.
    pub(crate) fn take_in(&mut self, place: &str, other: Self) {
        self.steps.extend(other.steps.into_iter().map(|step| Step { name: format!("{place}: {}", step.name), ..step }));
        self.timed.extend(other.timed.into_iter().map(|(seconds, line)| (seconds, format!("{line} ({place})"))));
        self.failures.extend(other.failures);
    }

    /// Takes in failures that were told elsewhere.
    pub(crate) fn failures_of(&mut self, output: &str) {
        self.failures.extend(failures::told(output));
    }

    /// A line a step, the slowest tests, what failed in short, and the whole time. Who reads only the end of a log, as some CI
    /// shows it, has to see why.
    pub(crate) fn account(&self, whole: Duration) -> String {
        let mut text = String::new();
        for Step { name, took, passed, failed } in &self.steps {
            let mark = if *failed == 0 { "ok    " } else { "FAILED" };
            _ = writeln!(text, "{mark} {:>7.1} s  {passed:>4} passed {failed:>3} failed  {name}", took.as_secs_f32());
        }
        let mut timed: Vec<_> = self.timed.iter().collect();
        timed.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        if !timed.is_empty() {
            text.push_str("the slowest end-to-end tests:\n");
        }
        for (_, line) in timed.into_iter().take(SLOWEST) {
            _ = writeln!(text, "  {line}");
        }
        for failure in &self.failures {
            _ = writeln!(text, "{failure}");
        }
        _ = write!(text, "all of it took {:.0} s", whole.as_secs_f32());
        text
    }
}

/// A line in which a test says how long it took: `took 12.3 s ...`. What libtest says of another test may stand before it.
fn timed_line(line: &str) -> Option<(f32, String)> {
    let told = &line[line.find("took ")?..];
    let seconds = told.strip_prefix("took ")?.split_once(" s ")?.0.parse().ok()?;
    Some((seconds, told.to_owned()))
}

/// The line that closes a run of `cargo xtask test`.
pub(crate) fn closing_line(output: &str) -> Option<(usize, usize)> {
    let numbers = |line: &str| {
        let (passed, failed) = line.strip_suffix(" failed")?.split_once(" passed, ")?;
        Some((passed.parse().ok()?, failed.parse().ok()?))
    };
    output.lines().rev().find_map(numbers)
}

/// Counts in the output of Rust's own test harness.
pub(crate) fn rust_harness(output: &str) -> Option<(usize, usize)> {
    counts(output.lines().filter(|line| line.starts_with("test result: ")))
}

/// Counts in the output of `forge test`.
pub(crate) fn forge(output: &str) -> Option<(usize, usize)> {
    counts(output.lines().filter(|line| line.starts_with("Ran ") && line.contains(" total tests)")))
}

/// Sums `N passed` and `N failed` over lines.
fn counts<'a>(lines: impl Iterator<Item = &'a str>) -> Option<(usize, usize)> {
    lines.fold(None, |sum, line| {
        let (passed, failed) = sum.unwrap_or_default();
        Some((passed + number_before(line, "passed"), failed + number_before(line, "failed")))
    })
}

fn number_before(line: &str, word: &str) -> usize {
    let words: Vec<&str> = line.split([' ', ';', ',', ':']).filter(|word| !word.is_empty()).collect();
    let found = words.windows(2).find(|pair| pair[1] == word).and_then(|pair| pair[0].parse().ok());
    // forge writes "tests passed" after the number of tests.
    let tests = words.windows(3).find(|three| three[1] == "tests" && three[2] == word).and_then(|t| t[0].parse().ok());
    found.or(tests).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_from_rusts_harness() {
        let output = "running 3 tests\ntest result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured\n";
        assert_eq!(rust_harness(output), Some((2, 1)));
        assert_eq!(rust_harness("killed"), None);
    }

    #[test]
    fn counts_are_read_from_forge() {
        let output =
            "Ran 9 test suites in 1.2s (3.4s CPU time): 87 tests passed, 2 failed, 0 skipped (89 total tests)\n";
        assert_eq!(forge(output), Some((87, 2)));
    }

    #[test]
    fn a_run_is_counted_by_its_closing_line_alone() {
        let step = "=== cargo fmt: 1 passed, 0 failed, 0.4 s\n";
        assert_eq!(
            closing_line(&format!("{step}all of it took 9 s\n464 passed, 2 failed\nerror: not all\n")),
            Some((464, 2))
        );
        assert_eq!(closing_line(step), None);
    }

    #[test]
    fn a_program_that_dies_without_a_word_is_a_failure() {
        let mut summary = Summary::default();
        summary.tests("dies", &mut Command::new("false"), rust_harness, Expected::Any);
        assert_eq!((summary.passed(), summary.failed()), (0, 1));
    }

    #[test]
    fn a_program_that_runs_no_test_is_a_failure_where_there_must_be_some() {
        let none = || {
            let mut echo = Command::new("echo");
            echo.arg("test result: ok. 0 passed; 0 failed; 9 filtered out");
            echo
        };
        let mut summary = Summary::default();
        summary.tests("empty", &mut none(), rust_harness, Expected::Any);
        assert_eq!((summary.passed(), summary.failed()), (0, 0));
        summary.tests("filtered", &mut none(), rust_harness, Expected::Some);
        assert_eq!((summary.passed(), summary.failed()), (0, 1));
    }

    #[test]
    fn the_slowest_tests_are_named_slowest_first() {
        let mut summary = Summary::default();
        let mut echo = Command::new("printf");
        echo.arg("test a ... took 2.5 s after 0.0 s: a\\ntook 11.0 s after 3.0 s: b\\ntest result: ok. 2 passed; 0 failed\\n");
        summary.tests("timed", &mut echo, rust_harness, Expected::Some);
        let account = summary.account(Duration::ZERO);
        let [a, b] =
            ["took 2.5 s after 0.0 s: a", "took 11.0 s after 3.0 s: b"].map(|line| account.find(line).unwrap());
        assert!(b < a, "{account}");
        assert_eq!(timed_line("all of it took 9 s"), None);
    }

    #[test]
    fn what_was_counted_elsewhere_is_counted_with_its_place() {
        let (mut summary, mut other) = (Summary::default(), Summary::default());
        other.tests("line", Command::new("echo").arg("took 7.0 s after 0.0 s: a"), rust_harness, Expected::Any);
        other.check("bad", || anyhow::bail!("no"));
        let written = serde_json::to_string(&other).unwrap();
        summary.check("good", || Ok(()));
        summary.take_in("second", serde_json::from_str(&written).unwrap());
        assert_eq!((summary.passed(), summary.failed()), (1, 1));
        let account = summary.account(Duration::ZERO);
        for told in ["second: bad", "took 7.0 s after 0.0 s: a (second)", "what failed: bad\n  | no\n"] {
            assert!(account.contains(told), "{account}");
        }
    }

    #[test]
    fn an_error_of_a_check_is_a_failure() {
        let mut summary = Summary::default();
        summary.check("good", || Ok(()));
        summary.check("bad", || anyhow::bail!("no"));
        assert_eq!((summary.passed(), summary.failed()), (1, 1));
    }
}
