//! Starts and stops components in the cluster's namespace and cgroup.

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use nix::{
    errno::Errno,
    sys::{
        signal::{Signal, kill},
        wait::{WaitPidFlag, waitpid},
    },
    unistd::Pid,
};

use super::{Identity, Spec, StopSignal};
use crate::{Layout, cgroup, network, poll::poll};

/// Long enough for a loaded two-core machine; a component that needs longer is
/// broken.
const READY_TIMEOUT: Duration = Duration::from_secs(90);
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(50);
const LOG_LINES: usize = 15;

/// Starts and stops components by name. What it started is written down under
/// the state directory, so another process can go on with it.
#[derive(Clone, Debug)]
pub struct Supervisor {
    layout: Layout,
}

impl Supervisor {
    pub fn new(layout: &Layout) -> Self {
        Self { layout: layout.clone() }
    }

    /// Starts the component and waits until it is ready. On failure the error
    /// ends with the last lines of its log.
    pub fn run(&self, spec: &Spec) -> Result<()> {
        let child = self.spawn(spec)?;
        self.wait_ready(spec, child)
    }

    /// Starts a component again that was started before and stopped or killed.
    pub fn start(&self, name: &str) -> Result<()> {
        if self.identity(name).is_some_and(Identity::is_alive) {
            return Ok(());
        }
        self.run(&self.spec(name)?)
    }

    /// Stops the component and returns when it is gone: the orderly signal
    /// first, SIGKILL after 10 s.
    pub fn stop(&self, name: &str) -> Result<()> {
        let orderly = match self.spec(name)?.stop {
            StopSignal::Terminate => Signal::SIGTERM,
            StopSignal::Interrupt => Signal::SIGINT,
        };
        self.end(name, orderly)
    }

    /// SIGKILL: a crash, for tests of what others make of it.
    pub fn kill(&self, name: &str) -> Result<()> {
        self.end(name, Signal::SIGKILL)
    }

    /// SIGSTOP: the component keeps its connections and answers nothing.
    pub fn freeze(&self, name: &str) -> Result<()> {
        self.signal(name, Signal::SIGSTOP)
    }

    /// SIGCONT, after [`Self::freeze`].
    pub fn thaw(&self, name: &str) -> Result<()> {
        self.signal(name, Signal::SIGCONT)
    }

    /// The names of all components that were started, alive or not.
    pub fn names(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.layout.components()) else {
            return Vec::new();
        };
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_suffix(".json").map(str::to_owned))
            .collect();
        names.sort();
        names
    }

    /// What the component was started with.
    pub fn spec(&self, name: &str) -> Result<Spec> {
        let path = self.spec_path(name);
        let text = fs::read(&path).with_context(|| {
            format!("the local cluster has no component {name:?}; it has {}", self.names().join(", "))
        })?;
        serde_json::from_slice(&text).with_context(|| format!("{} can't be read", path.display()))
    }

    /// The process that was started last for this component, alive or not.
    pub fn identity(&self, name: &str) -> Option<Identity> {
        fs::read_to_string(self.pid_path(name)).ok()?.parse().ok()
    }

    fn spawn(&self, spec: &Spec) -> Result<Child> {
        for dir in [self.layout.logs(), self.layout.components()] {
            fs::create_dir_all(&dir).with_context(|| format!("{} can't be created", dir.display()))?;
        }
        let spec_path = self.spec_path(&spec.name);
        fs::write(&spec_path, serde_json::to_vec_pretty(spec)?)
            .with_context(|| format!("{} can't be written", spec_path.display()))?;

        let log = self.open_log(&spec.name)?;
        let mut command = Command::new("setsid");
        // The shell enters the cgroup before it becomes the component, so that
        // no child of the component can ever be outside it.
        command.args(["sh", "-c", "echo $$ > \"$0\" && exec \"$@\""]).arg(cgroup::components_procs_file()?);
        command.arg(&spec.program).args(&spec.args);
        command.env_clear().env("PATH", self.path()).env("HOME", "/root").envs(&spec.env);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).current_dir(self.layout.state());
        let child = network::within(|| command.spawn())?.with_context(|| format!("{} can't be started", spec.name))?;

        let identity = Identity::of(child.id()).with_context(|| format!("{} ended at once", spec.name))?;
        let mut pid_file = File::create(self.pid_path(&spec.name))?;
        writeln!(pid_file, "{identity}")?;
        Ok(child)
    }

    fn wait_ready(&self, spec: &Spec, mut child: Child) -> Result<()> {
        let ready = poll(READY_TIMEOUT, POLL, || {
            if let Some(status) = child.try_wait()? {
                bail!("{} ended with {status}\n{}", spec.name, self.log_tail(&spec.name));
            }
            Ok(network::within(|| spec.ready.probe())?.then_some(()))
        })?;
        ready.with_context(|| {
            format!(
                "{} was not ready ({:?}) after {} s\n{}",
                spec.name,
                spec.ready,
                READY_TIMEOUT.as_secs(),
                self.log_tail(&spec.name)
            )
        })
    }

    fn end(&self, name: &str, signal: Signal) -> Result<()> {
        let Some(identity) = self.identity(name) else {
            return Ok(());
        };
        for signal in [signal, Signal::SIGKILL] {
            if !identity.is_alive() {
                return Ok(());
            }
            match kill(pid(identity), signal) {
                // It ended by itself just now.
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(error) => bail!("{name} (pid {}) can't be sent {signal}: {error}", identity.pid()),
            }
            let gone = poll(STOP_TIMEOUT, POLL, || {
                // When this process is its parent, the zombie is ours to reap.
                let _ = waitpid(pid(identity), Some(WaitPidFlag::WNOHANG));
                Ok((!identity.is_alive()).then_some(()))
            })?;
            if gone.is_some() {
                return Ok(());
            }
        }
        bail!("{name} (pid {}) survived SIGKILL for {} s", identity.pid(), STOP_TIMEOUT.as_secs())
    }

    fn signal(&self, name: &str, signal: Signal) -> Result<()> {
        let identity = self
            .identity(name)
            .filter(|identity| identity.is_alive())
            .with_context(|| format!("{name} doesn't run"))?;
        kill(pid(identity), signal).with_context(|| format!("{name} (pid {}) can't be sent {signal}", identity.pid()))
    }

    fn open_log(&self, name: &str) -> Result<File> {
        let path = self.log_path(name);
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| format!("{} can't be opened", path.display()))
    }

    fn log_tail(&self, name: &str) -> String {
        let path = self.log_path(name);
        let log = fs::read(&path).unwrap_or_default();
        format!("the end of {}:\n{}", path.display(), last_lines(&String::from_utf8_lossy(&log), LOG_LINES))
    }

    fn path(&self) -> String {
        format!("{}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", self.layout.bin().display())
    }

    fn log_path(&self, name: &str) -> PathBuf {
        self.layout.logs().join(format!("{name}.log"))
    }

    fn spec_path(&self, name: &str) -> PathBuf {
        self.layout.components().join(format!("{name}.json"))
    }

    fn pid_path(&self, name: &str) -> PathBuf {
        self.layout.components().join(Path::new(name).with_extension("pid"))
    }
}

fn pid(identity: Identity) -> Pid {
    Pid::from_raw(identity.pid().cast_signed())
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::last_lines;

    #[test]
    fn the_tail_of_a_log_is_its_last_lines() {
        assert_eq!(last_lines("a\nb\nc\n", 2), "b\nc");
        assert_eq!(last_lines("a\n", 2), "a");
        assert_eq!(last_lines("", 2), "");
    }
}
