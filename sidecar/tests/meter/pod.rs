//! A pod's volumes and environment, and the sidecar's processes in it.

use std::{
    fs, io,
    os::unix::{fs::chown, process::CommandExt},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use alloy::{
    primitives::{Address, B256},
    signers::local::PrivateKeySigner,
};
use hawser_proto::pod::{METER_CONTAINER, PROBE_CONTAINER, env};
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, getuid},
};
use tokio::time::{Instant, sleep};

use crate::{
    cards::{Driver, View},
    operator::{Operator, TOKEN, id, market},
};

const TIMEOUT: Duration = Duration::from_mins(1);

/// Waits for a condition, with a deadline.
pub(crate) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {TIMEOUT:?}: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) struct Pod {
    volumes: tempfile::TempDir,
    operator_url: String,
    probe_sees: Option<View>,
    meter_sees: Option<View>,
    meter: Option<Child>,
    interval: u32,
    /// Whose process meter is, where the test may choose.
    user: Option<u32>,
}

/// Nobody else on the machine, so that a limit of its processes is one of meter's threads.
const METERS_OWN: u32 = 61_713;

impl Pod {
    pub(crate) fn new(operator: &Operator, probe_sees: View, meter_sees: View) -> Self {
        let pod =
            Self::empty(format!("https://localhost:{}", operator.address.port()), Some(probe_sees), Some(meter_sees));
        fs::write(pod.volume("identity/ca.crt"), &operator.ca).unwrap();
        pod
    }

    pub(crate) fn without_nvml(operator: &Operator) -> Self {
        let pod = Self::empty(format!("https://localhost:{}", operator.address.port()), None, None);
        fs::write(pod.volume("identity/ca.crt"), &operator.ca).unwrap();
        pod
    }

    pub(crate) fn offline(probe_sees: View) -> Self {
        Self::empty(String::new(), Some(probe_sees), None)
    }

    /// A pod whose customer's container runs.
    pub(crate) async fn running(driver: &Driver, operator: &Operator) -> Self {
        let mut pod = Self::new(operator, driver.view(&[3, 5]), driver.view(&[0, 1, 2, 3, 4, 5, 6, 7]));
        pod.probe().unwrap();
        pod.run(operator).await;
        pod
    }

    /// One whose meter has a user of its own, and reports so often.
    pub(crate) fn reporting_every(interval: u32, driver: &Driver, operator: &Operator) -> Self {
        let mut pod = Self::new(operator, driver.view(&[3, 5]), driver.view(&[0, 1, 2, 3, 4, 5, 6, 7]));
        pod.interval = interval;
        // Root's processes have no limit.
        if getuid().is_root() {
            pod.user = Some(METERS_OWN);
            driver.show_to_everybody();
            // Where cargo builds is not everybody's to read.
            fs::copy(env!("CARGO_BIN_EXE_hawser-sidecar"), pod.volume("hawser-sidecar")).unwrap();
            for path in ["", "gpus", "key", "identity", "identity/ca.crt", "identity/token", "hawser-sidecar"] {
                chown(pod.volume(path), Some(METERS_OWN), Some(METERS_OWN)).unwrap();
            }
        }
        pod
    }

    /// From now on meter's user has as many processes and threads as it may have.
    pub(crate) fn take_every_pid(&self) {
        let pid = self.meter.as_ref().unwrap().id().to_string();
        let mut prlimit = Command::new("prlimit");
        if let Some(user) = self.user {
            prlimit.uid(user).gid(user);
        }
        assert!(prlimit.args(["--nproc=1:1", "--pid", &pid]).status().unwrap().success());
    }

    /// meter's threads, by their ids.
    pub(crate) fn threads(&self) -> Vec<String> {
        let tasks = format!("/proc/{}/task", self.meter.as_ref().unwrap().id());
        let name = |task: io::Result<fs::DirEntry>| task.unwrap().file_name().into_string().unwrap();
        let mut threads: Vec<_> = fs::read_dir(tasks).unwrap().map(name).collect();
        threads.sort();
        threads
    }

    pub(crate) async fn run(&mut self, operator: &Operator) {
        self.start_meter();
        eventually("the attestor enrols", || operator.attested().is_some()).await;
        operator.name_attestor(self.attestor());
        eventually("the startup probe passes", || self.started()).await;
        operator.begin();
    }

    fn empty(operator_url: String, probe_sees: Option<View>, meter_sees: Option<View>) -> Self {
        let volumes = tempfile::tempdir().unwrap();
        for name in ["gpus", "key", "identity"] {
            fs::create_dir(volumes.path().join(name)).unwrap();
        }
        fs::write(volumes.path().join("identity/token"), TOKEN).unwrap();
        Self { volumes, operator_url, probe_sees, meter_sees, meter: None, interval: 1, user: None }
    }

    fn volume(&self, path: &str) -> PathBuf {
        self.volumes.path().join(path)
    }

    fn sidecar(&self, subcommand: &str, sees: Option<&View>) -> Command {
        let own = self.volume("hawser-sidecar");
        let built = || PathBuf::from(env!("CARGO_BIN_EXE_hawser-sidecar"));
        let mut command = Command::new(if own.exists() { own } else { built() });
        command
            .arg(subcommand)
            .env_clear()
            .env(env::OPERATOR, &self.operator_url)
            .env(env::JOB_ID, id().to_string())
            .env(env::GPUS, "2")
            .env(env::CHAIN_ID, market().chain_id.to_string())
            .env(env::MARKET, market().address.to_string())
            .env(env::REPORT_INTERVAL_SECONDS, self.interval.to_string())
            .env(env::GPU_DIR, self.volume("gpus"))
            .env(env::KEY_DIR, self.volume("key"))
            .env(env::IDENTITY_DIR, self.volume("identity"))
            .env(env::TERMINATION_LOG, self.volume("termination-log"));
        if let Some(View(libraries)) = sees {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        command
    }

    /// Runs probe; what it said where it failed.
    pub(crate) fn probe(&self) -> Result<(), String> {
        let output = self.sidecar(PROBE_CONTAINER, self.probe_sees.as_ref()).output().unwrap();
        if output.status.success() { Ok(()) } else { Err(String::from_utf8(output.stderr).unwrap()) }
    }

    pub(crate) fn start_meter(&mut self) {
        let mut command = self.sidecar(METER_CONTAINER, self.meter_sees.as_ref());
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        self.meter = Some(command.stdin(Stdio::null()).spawn().unwrap());
    }

    pub(crate) fn started(&self) -> bool {
        self.sidecar("started", None).stderr(Stdio::null()).status().unwrap().success()
    }

    pub(crate) fn attestor(&self) -> Address {
        let key: B256 = fs::read_to_string(self.volume("key/attestor")).unwrap().parse().unwrap();
        PrivateKeySigner::from_bytes(&key).unwrap().address()
    }

    /// Lets no further journal be written, as a full volume would.
    pub(crate) fn refuse_journal(&self) {
        let _ = fs::remove_file(self.volume("key/journal.new"));
        fs::create_dir(self.volume("key/journal.new")).unwrap();
    }

    pub(crate) fn termination_message(&self) -> String {
        fs::read_to_string(self.volume("termination-log")).unwrap()
    }

    pub(crate) async fn kill(&mut self) {
        self.meter.as_mut().unwrap().kill().unwrap();
        self.wait().await;
    }

    pub(crate) async fn terminate(&mut self) -> ExitStatus {
        let pid = Pid::from_raw(self.meter.as_ref().unwrap().id().try_into().unwrap());
        kill(pid, Signal::SIGTERM).unwrap();
        self.wait().await
    }

    async fn wait(&mut self) -> ExitStatus {
        let mut meter = self.meter.take().unwrap();
        let deadline = Instant::now() + TIMEOUT;
        loop {
            if let Some(status) = meter.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "meter does not end");
            sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        if let Some(meter) = &mut self.meter {
            let _ = meter.kill();
            let _ = meter.wait();
        }
    }
}
