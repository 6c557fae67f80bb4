//! What went wrong, in a few lines: the beginning and the end of what a failed test said.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Lines that are shown of the beginning and of the end. An error of a test begins with the testbed and what stood in it, and ends
/// with its cause.
const FIRST: usize = 3;
const LAST: usize = 12;
/// Characters that are shown of a line.
const WIDTH: usize = 400;

const TITLE: &str = "what failed: ";
const MARGIN: &str = "  | ";

/// A failed test or check, and what it said.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    name: String,
    said: Vec<String>,
}

impl Failure {
    pub(crate) fn new(name: &str, said: &str) -> Self {
        let lines: Vec<String> = said.lines().map(|line| line.chars().take(WIDTH).collect()).collect();
        Self { name: name.to_owned(), said: short(lines) }
    }
}

fn short(mut lines: Vec<String>) -> Vec<String> {
    lines.retain(|line| !line.trim().is_empty());
    if lines.len() > FIRST + LAST + 1 {
        let left_out = lines.len() - FIRST - LAST;
        lines.splice(FIRST..lines.len() - LAST, [format!("[{left_out} lines are left out]")]);
    }
    lines
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{TITLE}{}", self.name)?;
        self.said.iter().try_for_each(|line| write!(f, "\n{MARGIN}{line}"))
    }
}

/// The failures that a test program or another run of `cargo xtask test` told.
pub(crate) fn told(output: &str) -> Vec<Failure> {
    let of_harness = output.split("\n---- ").skip(1).filter_map(of_harness);
    let of_forge = output.lines().filter(|line| line.starts_with("[FAIL")).map(|line| Failure::new("forge", line));
    of_harness.chain(of_forge).chain(of_account(output)).collect()
}

/// What stands between `---- NAME stdout ----` and the next such line, or the list of names that closes them.
fn of_harness(text: &str) -> Option<Failure> {
    let (name, said) = text.split_once(" stdout ----\n")?;
    let said = said.split_once("\n\nfailures:\n").map_or(said, |(said, _)| said);
    (!name.contains('\n')).then(|| Failure::new(name, said))
}

/// Those in an account: they are short already.
fn of_account(output: &str) -> Vec<Failure> {
    let mut all: Vec<Failure> = Vec::new();
    let mut inside = false;
    for line in output.lines() {
        if let Some(name) = line.strip_prefix(TITLE) {
            all.push(Failure { name: name.to_owned(), said: Vec::new() });
            inside = true;
        } else if let (true, Some(said), Some(last)) = (inside, line.strip_prefix(MARGIN), all.last_mut()) {
            last.said.push(said.to_owned());
        } else {
            inside = false;
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(name: &str, said: &[&str]) -> Failure {
        Failure { name: name.to_owned(), said: said.iter().map(|&line| line.to_owned()).collect() }
    }

    #[test]
    fn what_failed_tests_said_is_found_in_the_output_of_rusts_harness() {
        let output = "test a::b ... FAILED\ntest c ... FAILED\n\nfailures:\n\n---- a::b stdout ----\nError: testbed x\n\nCaused by:\n    \
            7 is not 8\n\n---- c stdout ----\npanicked\n\n\nfailures:\n    a::b\n    c\n\ntest result: FAILED. 1 passed; 2 failed\n";
        let expected =
            [failure("a::b", &["Error: testbed x", "Caused by:", "    7 is not 8"]), failure("c", &["panicked"])];
        assert_eq!(told(output), expected);
        assert_eq!(told("test result: ok. 2 passed; 0 failed\n"), []);
    }

    #[test]
    fn failures_of_forge_are_found() {
        let line = "[FAIL: revert: no] test_AFee() (gas: 7)";
        assert_eq!(told(&format!("Ran 2 tests\n[PASS] test_B()\n{line}\n")), [failure("forge", &[line])]);
    }

    #[test]
    fn what_an_account_tells_is_what_went_into_it() {
        let all = [Failure::new("one", "first\nsecond"), Failure::new("two", "")];
        let account = format!("{}\n{}\nall of it took 9 s\n  | not part of it\n", all[0], all[1]);
        assert_eq!(told(&account), all);
    }

    #[test]
    fn of_many_lines_the_first_and_the_last_are_shown() {
        let said: Vec<_> = (0..100).map(|line| line.to_string()).collect();
        let Failure { said, .. } = Failure::new("long", &said.join("\n"));
        let ends = [&said[0], &said[FIRST - 1], &said[FIRST], &said[FIRST + 1], &said[FIRST + LAST]];
        assert_eq!(ends, ["0", "2", "[85 lines are left out]", "88", "99"]);
    }
}
