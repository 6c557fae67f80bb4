use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use hawser_e2e::wait;
use hawser_local::{Plane, ports};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

/// The operator's program as a process of this machine. Killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Replica {
    pub(crate) name: String,
    child: Child,
    health: SocketAddr,
    log: PathBuf,
    http: reqwest::Client,
}

impl Replica {
    /// Starts a replica of this name in a namespace; `server` is where it finds the API server.
    pub(crate) fn start(plane: &Plane, namespace: &str, name: &str, server: SocketAddr) -> Result<Self> {
        Self::start_with(plane, namespace, name, server, &[])
    }

    /// The same with more arguments.
    pub(crate) fn start_with(
        plane: &Plane,
        namespace: &str,
        name: &str,
        server: SocketAddr,
        more: &[&str],
    ) -> Result<Self> {
        let program = std::env::var_os("HAWSER_OPERATOR")
            .context("HAWSER_OPERATOR is not set: it names the operator's program; `cargo xtask test` sets it")?;
        let [health, attestation] = ports::free()?;
        let log = plane.directory().join(format!("{name}.log"));
        let evidence = plane.directory().join("evidence");
        std::fs::create_dir_all(&evidence)?;
        let child = Command::new(program)
            .args(["--namespace", namespace, "--pod-name", name, "--sidecar-image", "none", "--log-format", "text"])
            .arg(format!("--health-listen={health}"))
            .arg(format!("--attestation-listen={attestation}"))
            .arg(format!("--evidence-url=file://{}", evidence.display()))
            .args(more)
            .env("KUBECONFIG", plane.kubeconfig(name, server)?)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .kill_on_drop(true)
            .spawn()
            .context("the operator's program can't be started")?;
        let http = reqwest::Client::builder().timeout(Duration::from_secs(1)).build()?;
        Ok(Self { name: name.to_owned(), child, health, log, http })
    }

    /// Whether it is Ready, and what it says.
    pub(crate) async fn ready(&self) -> (bool, String) {
        match self.http.get(format!("http://{}/readyz", self.health)).send().await {
            Ok(answer) => (answer.status().is_success(), answer.text().await.unwrap_or_default()),
            Err(error) => (false, format!("no answer: {error}")),
        }
    }

    /// The value of a metric that has no labels.
    pub(crate) async fn metric(&self, name: &str) -> Result<String> {
        let text = self.http.get(format!("http://{}/metrics", self.health)).send().await?.text().await?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(line.with_context(|| format!("there is no metric {name}"))?.to_owned())
    }

    /// Waits until it says this and is Ready; gives the time that it took.
    pub(crate) async fn says(&self, what: &str, deadline: Duration) -> Result<Duration> {
        self.until(&format!("{} is Ready: {what}", self.name), deadline, |ready, said| ready && said == what).await
    }

    /// Waits until it is not Ready and says something with this in it.
    pub(crate) async fn not_ready(&self, why: &str, deadline: Duration) -> Result<Duration> {
        self.until(&format!("{} is not Ready: {why}", self.name), deadline, |ready, said| !ready && said.contains(why))
            .await
    }

    async fn until(&self, what: &str, deadline: Duration, met: impl Fn(bool, &str) -> bool) -> Result<Duration> {
        let began = Instant::now();
        let met = wait::until(what, deadline, async || {
            let (ready, said) = self.ready().await;
            Ok(if met(ready, &said) { Ok(()) } else { Err(format!("Ready {ready}, {said:?}")) })
        });
        met.await.with_context(|| self.tail())?;
        Ok(began.elapsed())
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.child.id().context("the replica has ended")?;
        Ok(kill(Pid::from_raw(pid.try_into()?), signal)?)
    }

    /// Waits until the process has ended; gives its status and the time that it took.
    pub(crate) async fn ended(&mut self, deadline: Duration) -> Result<(ExitStatus, Duration)> {
        let began = Instant::now();
        match tokio::time::timeout(deadline, self.child.wait()).await {
            Ok(status) => Ok((status?, began.elapsed())),
            Err(_) => bail!("{} has not ended after {} s\n{}", self.name, deadline.as_secs(), self.tail()),
        }
    }

    /// Asks it to stop, and waits until it has done so in good order.
    pub(crate) async fn stops(&mut self, deadline: Duration) -> Result<Duration> {
        self.signal(Signal::SIGTERM)?;
        let (status, took) = self.ended(deadline).await?;
        ensure!(status.success(), "{} ended with {status}\n{}", self.name, self.tail());
        Ok(took)
    }

    /// The end of its log.
    pub(crate) fn tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        format!("the log of {} ends:\n{}", self.name, lines[lines.len().saturating_sub(20)..].join("\n"))
    }
}
