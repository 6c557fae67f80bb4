//! A pod without a kubelet: the test writes what kubelet would of it, and runs its probe and its meter as processes, with the
//! environment that the operator gave them. Of NVML nothing is visible, so that time alone is metered.

use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hawser_e2e::wait;
use hawser_proto::pod::{
    CA_FILE, JOB_CONTAINER, METER_CONTAINER, PROBE_CONTAINER, STARTED_COMMAND, TOKEN_AUDIENCE, TOKEN_FILE, env,
};
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::testbed::START;

/// How long meter may take to stop.
const WIND_UP: Duration = Duration::from_secs(30);

/// A job's pod on the only node.
pub(crate) struct LeasePod {
    pods: Api<Pod>,
    name: String,
    volumes: tempfile::TempDir,
    environment: Vec<(String, String)>,
    sidecar: PathBuf,
    meter: Option<Child>,
}

impl LeasePod {
    /// Binds the pod to a node, gives it a token of its own, and runs its probe and its meter.
    pub(crate) async fn run(client: &Client, namespace: &str, name: &str, node: &str, ca: &str) -> Result<Self> {
        let sidecar = std::env::var_os("HAWSER_SIDECAR")
            .context("HAWSER_SIDECAR is not set: it names the sidecar's program; `cargo xtask test` sets it")?;
        let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
        let binding = json!({
            "apiVersion": "v1", "kind": "Binding", "metadata": {"name": name},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        });
        pods.create_subresource::<Value, Value>("binding", name, &PostParams::default(), &binding).await?;
        let pod = pods.get(name).await?;
        let mut this = Self {
            environment: environment(&pod, METER_CONTAINER)?,
            pods,
            name: name.to_owned(),
            volumes: tempfile::tempdir()?,
            sidecar: sidecar.into(),
            meter: None,
        };
        for volume in ["gpus", "key", "identity"] {
            std::fs::create_dir(this.volume(volume))?;
        }
        std::fs::write(this.volume("identity").join(CA_FILE), ca)?;
        std::fs::write(this.volume("identity").join(TOKEN_FILE), token(client, &pod).await?)?;
        let probe = this.command(PROBE_CONTAINER).output().await?;
        ensure!(probe.status.success(), "probe failed: {}", String::from_utf8_lossy(&probe.stderr));
        let log = File::create(this.volume("log"))?;
        this.meter = Some(this.command(METER_CONTAINER).stderr(log).kill_on_drop(true).spawn()?);
        this.write("Pending", &running(false), &json!({"waiting": {"reason": "PodInitializing"}})).await?;
        Ok(this)
    }

    /// Starts the customer's container once meter lets it.
    pub(crate) async fn begins(&self) -> Result<()> {
        wait::until("meter learns that the job was started", wait::SOON, async || {
            let status = self.command(STARTED_COMMAND).stderr(Stdio::null()).status().await?;
            let log = std::fs::read_to_string(self.volume("log"))?;
            Ok(if status.success() { Ok(()) } else { Err(format!("meter says {log}")) })
        })
        .await?;
        let started = json!({"running": {"startedAt": Timestamp::now().to_string()}});
        self.write("Running", &running(true), &started).await
    }

    /// Ends it as kubelet does, once the operator has deleted it: the customer's container, then meter, then the pod.
    pub(crate) async fn ends(mut self) -> Result<()> {
        wait::until("the operator deletes the pod", wait::SOON, async || {
            let pod = self.pods.get(&self.name).await?;
            Ok(if pod.metadata.deletion_timestamp.is_some() { Ok(()) } else { Err("it stands") })
        })
        .await?;
        let now = Timestamp::now().to_string();
        let killed = json!({"terminated": {"exitCode": 137, "reason": "Error", "startedAt": now, "finishedAt": now}});
        self.write("Running", &running(true), &killed).await?;
        let mut meter = self.meter.take().context("meter was started")?;
        let pid = meter.id().context("meter has ended by itself")?;
        kill(Pid::from_raw(pid.try_into()?), Signal::SIGTERM)?;
        let status = tokio::time::timeout(WIND_UP, meter.wait()).await.context("meter does not end")??;
        ensure!(status.success(), "meter ended with {status}");
        let words = std::fs::read_to_string(self.volume("termination-log"))?;
        let ended = json!({"terminated": {
            "exitCode": 0, "reason": "Completed", "message": words, "startedAt": now, "finishedAt": Timestamp::now().to_string(),
        }});
        self.write("Failed", &meter_of(&ended, true), &killed).await?;
        let at_once = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        self.pods.delete(&self.name, &at_once).await?;
        wait::gone(&self.pods, &self.name, START).await
    }

    fn volume(&self, name: &str) -> PathBuf {
        self.volumes.path().join(name)
    }

    fn command(&self, subcommand: &str) -> Command {
        let mut command = Command::new(&self.sidecar);
        command.arg(subcommand).env_clear().envs(self.environment.iter().cloned()).stdin(Stdio::null());
        let volumes = [(env::GPU_DIR, "gpus"), (env::KEY_DIR, "key"), (env::IDENTITY_DIR, "identity")];
        for (variable, name) in volumes.into_iter().chain([(env::TERMINATION_LOG, "termination-log")]) {
            command.env(variable, self.volume(name));
        }
        command
    }

    /// Writes what kubelet would: of meter, and of the customer's container.
    async fn write(&self, phase: &str, meter: &Value, job: &Value) -> Result<()> {
        let probe = json!({"terminated": {"exitCode": 0, "reason": "Completed"}});
        let of = |name: &str, state: &Value| json!({"name": name, "image": "none", "imageID": "none", "restartCount": 0, "ready": false, "state": state});
        let mut init = of(METER_CONTAINER, &meter["state"]);
        init["started"] = meter["started"].clone();
        let status = json!({"status": {
            "phase": phase, "podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}],
            "initContainerStatuses": [of(PROBE_CONTAINER, &probe), init],
            "containerStatuses": [of(JOB_CONTAINER, job)],
        }});
        self.pods.patch_status(&self.name, &PatchParams::default(), &Patch::Merge(&status)).await?;
        Ok(())
    }
}

fn running(started: bool) -> Value {
    meter_of(&json!({"running": {"startedAt": Timestamp::now().to_string()}}), started)
}

fn meter_of(state: &Value, started: bool) -> Value {
    json!({"state": state, "started": started})
}

/// What the operator wrote for a container.
fn environment(pod: &Pod, container: &str) -> Result<Vec<(String, String)>> {
    let init = pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten());
    let found = init.clone().find(|c| c.name == container).with_context(|| format!("no {container}: {pod:?}"))?;
    let variables = found.env.iter().flatten();
    Ok(variables.filter_map(|variable| Some((variable.name.clone(), variable.value.clone()?))).collect())
}

/// The token that kubelet would project into it.
async fn token(client: &Client, pod: &Pod) -> Result<String> {
    let accounts: Api<ServiceAccount> =
        Api::namespaced(client.clone(), &pod.namespace().context("a pod is in a namespace")?);
    let account = pod.spec.as_ref().and_then(|spec| spec.service_account_name.clone()).context("no service account")?;
    let bound = json!({"apiVersion": "v1", "kind": "Pod", "name": pod.name_any(), "uid": pod.uid()});
    let request: TokenRequest = serde_json::from_value(json!({
        "spec": {"audiences": [TOKEN_AUDIENCE], "expirationSeconds": 3600, "boundObjectRef": bound},
    }))?;
    let answer = accounts.create_token_request(&account, &PostParams::default(), &request).await?;
    Ok(answer.status.context("the API server gives no token")?.token)
}
