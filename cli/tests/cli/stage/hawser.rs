//! The built program, and what it printed.

use std::process::{Child, Command, Stdio};

use serde_json::Value;

pub(crate) struct Hawser {
    command: Command,
    secrets: Vec<String>,
}

impl Hawser {
    /// Without anything of this machine's environment but what a test gives.
    pub(crate) fn new() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hawser"));
        command.env_clear();
        Self { command, secrets: Vec::new() }
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// A text that must never be printed, in whatever way.
    pub(crate) fn secret(mut self, text: &str) -> Self {
        self.secrets.push(text.trim_start_matches("0x").to_owned());
        self
    }

    /// Starts it; its stderr can be read meanwhile.
    pub(crate) fn start(mut self, args: &[&str]) -> Child {
        self.command.args(args).stderr(Stdio::piped()).spawn().unwrap()
    }

    pub(crate) fn run(mut self, args: &[&str]) -> Ran {
        let output = self.command.args(args).output().unwrap();
        let ran = Ran {
            what: args.join(" "),
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        };
        for secret in &self.secrets {
            assert!(!ran.stdout.contains(secret) && !ran.stderr.contains(secret), "{}: a key was printed", ran.what);
        }
        ran
    }
}

#[derive(Debug)]
pub(crate) struct Ran {
    what: String,
    code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Of a run that went well.
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{self:#?}");
        self.json_anyway()
    }

    /// Of a run that may have gone wrong after it printed its result.
    pub(crate) fn json_anyway(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{self:#?}");
        self
    }

    /// It failed with this exit code, and said why in one line that holds all of this, on stderr only.
    pub(crate) fn failed(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, code, "{self:#?}");
        assert_eq!(self.stdout, "", "{self:#?}");
        self.said(parts);
    }

    /// The last line of stderr says all of this.
    pub(crate) fn said(&self, parts: &[&str]) {
        let last = self.stderr.lines().last().unwrap_or_default();
        assert!(last.starts_with("hawser: "), "{self:#?}");
        for part in parts {
            assert!(last.contains(part), "{part:?} is missing: {self:#?}");
        }
    }

    pub(crate) fn code(&self) -> i32 {
        self.code
    }
}
