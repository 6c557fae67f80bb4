//! A control plane without nodes, for tests of what asks the API server: etcd and kube-apiserver on this machine's
//! loopback, on free ports and in a temporary folder. Any number can run side by side, and beside the local cluster.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use serde_json::json;
use tempfile::TempDir;

use crate::{
    Layout, command,
    components::control_plane,
    pki::{API_URL, Pki},
    poll::poll,
    ports,
};

/// Long enough for a loaded two-core machine.
const TIMEOUT: Duration = Duration::from_secs(90);
const LOOK: Duration = Duration::from_millis(100);
/// A port that was free a moment ago may be taken by the time it is used.
const TRIES: usize = 3;
const LOG_LINES: usize = 15;

/// Runs until it is dropped.
#[derive(Debug)]
pub struct Plane {
    state: Layout,
    address: SocketAddr,
    etcd_url: String,
    kubectl: PathBuf,
    // Dropped in this order.
    api_server: Process,
    _etcd: Process,
    directory: TempDir,
}

/// What somebody asked the API server for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Who, as its kubeconfig says.
    pub user: String,
    /// `get`, `patch` ...
    pub verb: String,
    /// Plural name of the kind.
    pub resource: String,
    /// When the API server got it, in RFC 3339.
    pub at: String,
}

/// Killed when it is dropped.
#[derive(Debug)]
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

impl Plane {
    /// Starts one and waits until it answers. Blocks meanwhile.
    ///
    /// # Errors
    /// When a component can't be built or does not come up; then with the end of its log.
    pub fn start() -> Result<Self> {
        Self::start_with(&[])
    }

    /// The same with further arguments of kube-apiserver.
    ///
    /// # Errors
    /// As those of [`Self::start`].
    pub fn start_with(arguments: &[&str]) -> Result<Self> {
        let mut tries = 1;
        loop {
            match Self::try_start(arguments) {
                Err(_) if tries < TRIES => tries += 1,
                started => return started,
            }
        }
    }

    fn try_start(arguments: &[&str]) -> Result<Self> {
        let (etcd, kubernetes) = control_plane(&Layout::of_this_machine()?)?;
        let directory = tempfile::tempdir().context("there is no temporary folder")?;
        let state = Layout::new(directory.path(), directory.path());
        let pki = Pki::create(&state)?;
        let [client, peer, secure] = ports::free()?.map(|address| address.port());
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, secure));

        let etcd_url = format!("http://127.0.0.1:{client}");
        let data = directory.path().join("etcd");
        let etcd = spawn(
            directory.path(),
            "etcd",
            Command::new(etcd.binary("etcd"))
                .arg(format!("--data-dir={}", data.display()))
                .args([format!("--listen-client-urls={etcd_url}"), format!("--advertise-client-urls={etcd_url}")])
                .arg(format!("--listen-peer-urls=http://127.0.0.1:{peer}"))
                .args(["--unsafe-no-fsync", "--logger=zap", "--log-level=warn"]),
        )?;
        let mut plane = Self {
            api_server: api_server(&state, &pki, &kubernetes.binary("kube-apiserver"), &etcd_url, secure, arguments)?,
            state,
            address,
            etcd_url,
            kubectl: kubernetes.binary("kubectl"),
            _etcd: etcd,
            directory,
        };
        let kubeconfig = plane.kubeconfig("administrator", address)?;
        let ready = poll(TIMEOUT, LOOK, || {
            if let Some(status) = plane.api_server.0.try_wait()? {
                bail!("kube-apiserver ended with {status}\n{}", plane.log("kube-apiserver"));
            }
            let mut look = Command::new(&plane.kubectl);
            look.arg("--kubeconfig").arg(&kubeconfig).args(["get", "--raw=/readyz"]);
            let look = look.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
            Ok(look.success().then_some(()))
        })?;
        match ready {
            Some(()) => Ok(plane),
            None => {
                bail!("kube-apiserver was not ready after {} s\n{}", TIMEOUT.as_secs(), plane.log("kube-apiserver"))
            }
        }
    }

    /// Where the API server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where etcd serves, without TLS: what is written there has passed no check of the API server's.
    pub fn etcd_url(&self) -> &str {
        &self.etcd_url
    }

    /// A folder that goes with the control plane.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Writes a kubeconfig of somebody who may do anything, with the API server at `server`: its own address, or that of
    /// something before it.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn kubeconfig(&self, user: &str, server: SocketAddr) -> Result<PathBuf> {
        let text = fs::read_to_string(self.state.kubeconfig()).context("the control plane's folder is gone")?;
        let mut config: serde_json::Value = serde_json::from_str(&text.replace(API_URL, &format!("https://{server}")))?;
        // The certificate is everybody's; the audit log says who is meant.
        config["users"][0]["user"]["as"] = json!(user);
        config["users"][0]["user"]["as-groups"] = json!(["system:masters"]);
        let path = self.directory.path().join(format!("{user}.kubeconfig"));
        fs::write(&path, config.to_string()).with_context(|| format!("{} can't be written", path.display()))?;
        Ok(path)
    }

    /// What `kubectl` prints, as somebody who may do anything.
    ///
    /// # Errors
    /// When it fails; then with what it says.
    pub fn kubectl(&self, args: &[&str]) -> Result<String> {
        let kubeconfig = self.kubeconfig("kubectl", self.address)?;
        command::output(Command::new(&self.kubectl).arg("--kubeconfig").arg(kubeconfig).args(args))
    }

    /// What was asked so far, and answered.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn requests(&self) -> Result<Vec<Request>> {
        let text = fs::read_to_string(self.state.audit_log()).context("the API server's audit log can't be read")?;
        // The last line may not be whole yet.
        let events = text.lines().filter_map(|line| serde_json::from_str::<Event>(line).ok());
        Ok(events.filter_map(Event::request).collect())
    }

    fn log(&self, name: &str) -> String {
        let path = self.directory.path().join(format!("{name}.log"));
        let text = fs::read(&path).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }
}

/// An event of the audit log (`audit.k8s.io/v1`).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    verb: String,
    impersonated_user: Option<User>,
    object_ref: Option<ObjectRef>,
    request_received_timestamp: String,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Deserialize)]
struct ObjectRef {
    resource: Option<String>,
}

impl Event {
    fn request(self) -> Option<Request> {
        Some(Request {
            user: self.impersonated_user?.username,
            verb: self.verb,
            resource: self.object_ref?.resource?,
            at: self.request_received_timestamp,
        })
    }
}

fn api_server(
    state: &Layout,
    pki: &Pki,
    binary: &Path,
    etcd_url: &str,
    port: u16,
    further: &[&str],
) -> Result<Process> {
    let file = |name: &str| pki.file(name).display().to_string();
    let policy = state.state().join("audit-policy.json");
    let everything = json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived", "ResponseStarted"],
        "rules": [{ "level": "Metadata" }],
    });
    fs::write(&policy, everything.to_string()).with_context(|| format!("{} can't be written", policy.display()))?;
    spawn(
        state.state(),
        "kube-apiserver",
        Command::new(binary)
            .args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none"])
            .arg(format!("--secure-port={port}"))
            .arg(format!("--etcd-servers={etcd_url}"))
            .arg(format!("--audit-log-path={}", state.audit_log().display()))
            .arg(format!("--audit-policy-file={}", policy.display()))
            .arg("--authorization-mode=RBAC")
            // Nobody makes the accounts that it asks for.
            .arg("--disable-admission-plugins=ServiceAccount")
            .arg(format!("--client-ca-file={}", file("ca.crt")))
            .arg(format!("--tls-cert-file={}", file("kube-apiserver.crt")))
            .arg(format!("--tls-private-key-file={}", file("kube-apiserver.key")))
            .arg("--service-account-issuer=https://kubernetes.default.svc.cluster.local")
            .arg(format!("--service-account-key-file={}", file("service-accounts.pub")))
            .arg(format!("--service-account-signing-key-file={}", file("service-accounts.key")))
            .args(["--service-cluster-ip-range=10.96.0.0/16", "--profiling=false"])
            .args(further),
    )
}

fn spawn(directory: &Path, name: &str, command: &mut Command) -> Result<Process> {
    let path = directory.join(format!("{name}.log"));
    let log = File::create(&path).with_context(|| format!("{} can't be written", path.display()))?;
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).current_dir(directory);
    Ok(Process(command.spawn().with_context(|| format!("{name} can't be started"))?))
}
