//! Cards in pods of the local cluster: who sees which, and how changes reach a running container.
//!
//! It needs the cluster (and brings it up), so `cargo xtask test` runs it with the end-to-end tests.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test")]

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use hawser_local::{
    Cluster, Layout,
    images::{Registry, Rootfs, publish},
    nvidia::{Double, Gpu},
    output,
};
use serde_json::{Value, json};

const NAMESPACE: &str = "nvidia-check";
/// Of the local cluster.
const GPUS: u32 = 14;
const TIMEOUT: Duration = Duration::from_mins(1);

/// One card as a container saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    minor: u32,
    utilization: String,
    uuid: String,
}

struct Check {
    cluster: Cluster,
    double: Double,
}

impl Check {
    fn kubectl(&self, args: &[&str]) -> Command {
        let endpoints = self.cluster.endpoints();
        let mut kubectl = Command::new(endpoints.bin_dir.clone().unwrap().join("kubectl"));
        kubectl.arg("--kubeconfig").arg(&endpoints.kubeconfig).args(args);
        kubectl
    }

    fn apply(&self, object: &Value) {
        let mut kubectl = self.kubectl(&["apply", "--filename=-"]).stdin(Stdio::piped()).spawn().unwrap();
        kubectl.stdin.take().unwrap().write_all(object.to_string().as_bytes()).unwrap();
        assert!(kubectl.wait().unwrap().success());
    }

    /// Follows a container's log until a line fits, and returns the cards in it.
    fn sees(&self, container: &str, fits: impl Fn(&[Seen]) -> bool) -> Vec<Seen> {
        let mut kubectl = self
            .kubectl(&["logs", "pod/see", "--namespace", NAMESPACE, "--container", container, "--follow"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(kubectl.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        let reader = thread::spawn(move || log.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let deadline = Instant::now() + TIMEOUT;
        let mut last = String::new();
        let found = loop {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => last = line,
                Err(_) => break None,
            }
            let cards: Vec<Seen> = last.split(' ').filter_map(card).collect();
            if fits(&cards) {
                break Some(cards);
            }
        };
        kubectl.kill().unwrap();
        kubectl.wait().unwrap();
        drop(lines);
        let _ = reader.join().unwrap();
        found.unwrap_or_else(|| panic!("{container} saw {last:?} at last"))
    }

    fn wait(&self, object: &str, condition: &str) {
        let timeout = format!("--timeout={}s", TIMEOUT.as_secs());
        output(&mut self.kubectl(&["wait", object, "--namespace", NAMESPACE, condition, &timeout])).unwrap();
    }

    fn wait_until_allocatable(&self, count: u32) {
        self.wait("node/hawser-0", &format!(r"--for=jsonpath={{.status.allocatable.nvidia\.com/gpu}}={count}"));
    }
}

/// `minor/utilisation/UUID`
fn card(text: &str) -> Option<Seen> {
    let mut parts = text.split('/');
    Some(Seen {
        minor: parts.next()?.parse().ok()?,
        utilization: parts.next()?.to_owned(),
        uuid: parts.next()?.to_owned(),
    })
}

/// An image with the program that prints the cards it sees, and no part of NVIDIA's.
fn publish_image(layout: &Layout, registry: &str) -> String {
    // Cargo puts a workspace's examples beside its tests.
    let program = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("examples/see_gpus");
    assert!(program.is_file(), "{} is missing: build it with `cargo test --workspace --no-run`", program.display());
    let context = tempfile::tempdir().unwrap();
    let rootfs = Rootfs::create(context.path().join("root")).unwrap();
    rootfs.program(&program, "/see").unwrap();
    // The double is loaded at run time and is linked to it.
    rootfs.library("libgcc_s.so.1").unwrap();
    let containerfile = context.path().join("Containerfile");
    std::fs::write(&containerfile, "FROM scratch\nCOPY root /\nUSER 65532:65532\nENTRYPOINT [\"/see\"]\n").unwrap();
    publish(layout, Registry::unverified(registry), "test/see-gpus", context.path(), &containerfile).unwrap()
}

/// The shape of a job's pod: a check with the job's cards, a sidecar without any that sees all, and
/// the customer's container.
fn pod(image: &str) -> Value {
    let unprivileged = json!({
        "allowPrivilegeEscalation": false,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": true,
    });
    let two = json!({"limits": {"nvidia.com/gpu": 2}});
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "see", "namespace": NAMESPACE},
        "spec": {
            "runtimeClassName": "nvidia",
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": true,
                "runAsUser": 65532,
                "runAsGroup": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "initContainers": [
                {"name": "probe", "image": image, "args": ["once"], "resources": two, "securityContext": unprivileged},
                {
                    "name": "meter", "image": image, "restartPolicy": "Always", "securityContext": unprivileged,
                    "env": [
                        {"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"},
                        {"name": "NVIDIA_DRIVER_CAPABILITIES", "value": "utility"},
                    ],
                },
            ],
            "containers": [
                {"name": "main", "image": image, "resources": two, "securityContext": unprivileged},
            ],
        },
    })
}

#[test]
#[ignore = "needs the local cluster"]
fn each_container_sees_its_own_cards_and_every_change_of_them() {
    let layout = Layout::of_this_machine().unwrap();
    let cluster = Cluster::up().unwrap();
    let check = Check { cluster, double: Double::of(&layout) };
    let image = publish_image(&layout, &check.cluster.endpoints().registry);
    output(&mut check.kubectl(&["delete", "namespace", NAMESPACE, "--ignore-not-found"])).unwrap();
    check.apply(&json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
    }));
    check.wait("serviceaccount/default", "--for=create");
    check.wait_until_allocatable(GPUS);
    check.apply(&pod(&image));
    check.wait("pod/see", "--for=condition=Ready");

    let main = check.sees("main", |cards| cards.len() == 2);
    let all = check.sees("meter", |cards| cards.len() == GPUS as usize);
    let uuids = |cards: &[Seen]| cards.iter().map(|card| card.uuid.clone()).collect::<Vec<_>>();
    let probe = check.sees("probe", |cards| cards.len() == 2);
    assert_eq!(uuids(&probe), uuids(&main), "kubelet hands an init container's cards on");
    assert!(main.iter().all(|card| all.contains(card)), "one machine, one truth: {main:?} {all:?}");

    let gpu = Gpu::Uuid(main[1].uuid.clone());
    check.double.set_utilization(&gpu, 73).unwrap();
    for container in ["main", "meter"] {
        let cards = check.sees(container, |cards| cards.iter().any(|card| card.utilization == "73"));
        let busy: Vec<&Seen> = cards.iter().filter(|card| card.utilization != "0").collect();
        assert_eq!(uuids(&[busy[0].clone()]), uuids(&main[1..]), "{container}");
        assert_eq!(busy.len(), 1, "{container}");
    }

    check.double.raise_xid(&gpu, 48).unwrap();
    check.wait_until_allocatable(GPUS - 1);
    let free = Gpu::Uuid(all.iter().find(|card| !main.contains(card)).unwrap().uuid.clone());
    check.double.lose(&free).unwrap();
    check.wait_until_allocatable(GPUS - 2);

    check.double.restore(&free).unwrap();
    check.double.restore(&gpu).unwrap();
    check.wait_until_allocatable(GPUS);
    output(&mut check.kubectl(&["delete", "namespace", NAMESPACE])).unwrap();
}
