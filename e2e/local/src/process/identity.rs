//! Tells a process from a later one with the same pid.

use std::{fmt, fs, str::FromStr};

use anyhow::{Context as _, Result};

/// One process for its whole life: a pid alone may belong to another process
/// by now, a pid with its start time can't.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    pid: u32,
    /// In clock ticks since boot: field 22 of `/proc/PID/stat`.
    started: u64,
}

impl Identity {
    /// The process that has `pid` now, unless it is dead or a zombie. One whose first thread has ended while others go on
    /// looks like a zombie, and holds its sockets still.
    pub fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let stat = Stat::read(&stat)?;
        stat.is_alive().then_some(Self { pid, started: stat.started })
    }

    pub fn pid(self) -> u32 {
        self.pid
    }

    /// Whether this very process still runs.
    pub fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }
}

/// What is read of `/proc/PID/stat`.
#[derive(Debug, PartialEq, Eq)]
struct Stat<'a> {
    state: &'a str,
    threads: u64,
    started: u64,
}

impl<'a> Stat<'a> {
    /// The command's name stands in parentheses and may hold spaces and
    /// parentheses itself, so fields are counted from the last one.
    fn read(stat: &'a str) -> Option<Self> {
        let (_, rest) = stat.rsplit_once(')')?;
        let mut fields = rest.split_whitespace();
        let state = fields.next()?;
        // `num_threads` is field 20 and `starttime` field 22; the state was field 3.
        let threads = fields.nth(16)?.parse().ok()?;
        let started = fields.nth(1)?.parse().ok()?;
        Some(Self { state, threads, started })
    }

    fn is_alive(&self) -> bool {
        self.threads > 1 || !matches!(self.state, "Z" | "X")
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.pid, self.started)
    }
}

impl FromStr for Identity {
    type Err = anyhow::Error;

    fn from_str(line: &str) -> Result<Self> {
        let (pid, started) = line.trim().split_once(' ').context("a pid file holds a pid and a start time")?;
        Ok(Self { pid: pid.parse()?, started: started.parse()? })
    }
}

#[cfg(test)]
mod tests {
    use std::process::{self, Command};

    use super::*;

    #[test]
    fn a_command_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 98765 1000 10";
        assert_eq!(Stat::read(stat), Some(Stat { state: "S", threads: 1, started: 98765 }));
    }

    #[test]
    fn a_process_whose_first_thread_has_ended_is_alive_while_others_go_on() {
        for (state, threads, expected) in [("S", 1, true), ("Z", 9, true), ("Z", 1, false), ("X", 1, false)] {
            let stat = format!("42 (a) {state} 1 42 42 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 {threads} 0 98765 1000 10");
            assert_eq!(Stat::read(&stat).unwrap().is_alive(), expected, "{stat}");
        }
    }

    #[test]
    fn the_same_pid_with_another_start_time_is_another_process() {
        let this = Identity::of(process::id()).unwrap();
        assert!(this.is_alive());
        assert!(!Identity { started: this.started + 1, ..this }.is_alive());
    }

    #[test]
    fn a_zombie_is_not_alive() {
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let identity = Identity::of(child.id()).unwrap();
        child.kill().unwrap();
        // Killed but not waited for: a zombie, soon.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while identity.is_alive() {
            assert!(std::time::Instant::now() < deadline, "still alive");
            std::thread::yield_now();
        }
        assert!(fs::exists(format!("/proc/{}", identity.pid())).unwrap());
        child.wait().unwrap();
    }

    #[test]
    fn a_pid_file_reads_back() {
        let this = Identity::of(process::id()).unwrap();
        assert_eq!(this.to_string().parse::<Identity>().unwrap(), this);
        assert!("12".parse::<Identity>().is_err());
    }
}
