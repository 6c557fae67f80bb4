//! The operator's program as a process of this machine, and what it takes of it.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use hawser_e2e::wait;
use hawser_local::{Plane, ports};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, SysconfVar, sysconf};
use tokio::process::{Child, Command};

use crate::SYSTEM;

/// Killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Operator {
    child: Child,
    pid: u32,
    health: SocketAddr,
    log: PathBuf,
    http: reqwest::Client,
    pub(crate) began: Instant,
}

/// Memory of a process, in MiB.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    pub(crate) resident: f64,
    /// The most that was ever resident.
    pub(crate) peak: f64,
    /// Of what is resident, pages of files: the program itself.
    pub(crate) files: f64,
}

impl Operator {
    /// `run` names its pod and its log, which is kept where `logs` says, or goes with the control plane.
    pub(crate) fn start(program: &Path, plane: &Plane, logs: Option<&Path>, run: &str) -> Result<Self> {
        let [health, attestation] = ports::free()?;
        let log = logs.unwrap_or(plane.directory()).join(format!("operator-{run}.log"));
        let evidence = plane.directory().join("evidence");
        std::fs::create_dir_all(&evidence)?;
        let began = Instant::now();
        let child = Command::new(program)
            .args(["--namespace", SYSTEM, "--pod-name", run, "--sidecar-image", "registry.example/sidecar:1"])
            .arg(format!("--health-listen={health}"))
            .arg(format!("--attestation-listen={attestation}"))
            .arg("--attestation-url=https://127.0.0.1:9443")
            .arg(format!("--evidence-url=file://{}", evidence.display()))
            // As its image says it.
            .env("MALLOC_ARENA_MAX", "2")
            .env("KUBECONFIG", plane.kubeconfig(run, plane.address())?)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} can't be started", program.display()))?;
        let pid = child.id().context("the operator has ended")?;
        let http = reqwest::Client::builder().timeout(Duration::from_secs(1)).build()?;
        Ok(Self { child, pid, health, log, http, began })
    }

    /// Waits until it leads and is Ready; gives the time since its start.
    pub(crate) async fn leads(&self) -> Result<Duration> {
        self.says("leading").await
    }

    /// Waits until it could lead at once; gives the time since its start.
    pub(crate) async fn stands_by(&self) -> Result<Duration> {
        self.says("standing by").await
    }

    async fn says(&self, words: &str) -> Result<Duration> {
        let says = wait::until("the operator is Ready", wait::SOON, async || {
            let answer = self.http.get(format!("http://{}/readyz", self.health)).send().await;
            let Ok(answer) = answer else { return Ok(Err("no answer".to_owned())) };
            let ready = answer.status().is_success();
            let said = answer.text().await.unwrap_or_default();
            Ok(if ready && said == words { Ok(()) } else { Err(said) })
        });
        says.await.with_context(|| self.tail())?;
        Ok(self.began.elapsed())
    }

    /// The sum of all samples of a metric.
    pub(crate) async fn metric(&self, name: &str) -> Result<f64> {
        let text = self.http.get(format!("http://{}/metrics", self.health)).send().await?.text().await?;
        let of_it = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']));
        Ok(text.lines().filter(of_it).filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum())
    }

    /// Processor time that it has taken so far.
    pub(crate) fn processor(&self) -> Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).with_context(|| self.tail())?;
        // The name, which may have spaces in it, ends with the last parenthesis.
        let fields: Vec<&str> = stat.rsplit_once(')').context("/proc/PID/stat")?.1.split_whitespace().collect();
        let ticks: u32 =
            fields.get(11..13).context("/proc/PID/stat")?.iter().filter_map(|t| t.parse::<u32>().ok()).sum();
        let each =
            sysconf(SysconfVar::CLK_TCK)?.and_then(|ticks| u32::try_from(ticks).ok()).context("no clock ticks")?;
        Ok(Duration::from_secs(1) * ticks / each)
    }

    pub(crate) fn memory(&self) -> Result<Memory> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).with_context(|| self.tail())?;
        let read = |name: &str| -> Result<f64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            // A process that has ended has none.
            let kib = line.and_then(|line| line.split_whitespace().next()).with_context(|| self.tail())?;
            Ok(f64::from(kib.parse::<u32>()?) / 1024.0)
        };
        Ok(Memory { resident: read("VmRSS")?, peak: read("VmHWM")?, files: read("RssFile")? })
    }

    /// Asks it to stop, and waits until it has done so in good order.
    pub(crate) async fn stop(mut self) -> Result<()> {
        kill(Pid::from_raw(self.pid.try_into()?), Signal::SIGTERM)?;
        match tokio::time::timeout(Duration::from_secs(30), self.child.wait()).await {
            Ok(status) => ensure!(status?.success(), "the operator failed\n{}", self.tail()),
            Err(_) => bail!("the operator does not stop\n{}", self.tail()),
        }
        Ok(())
    }

    /// The end of its log.
    pub(crate) fn tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        format!("the operator's log ends:\n{}", lines[lines.len().saturating_sub(20)..].join("\n"))
    }
}
