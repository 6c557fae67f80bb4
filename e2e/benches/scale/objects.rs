//! What a large cluster holds, as its API server stores it: with all that kubelets, controllers and people write into objects.

use hawser_crds::condition::{COMPLETE, SETTLED};
use hawser_crds::{Outcome, Phase};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use crate::store::Keyed;

/// Kinds of GPUs in the cluster.
pub(crate) const PRODUCTS: usize = 5;
/// Namespaces with an offer each.
pub(crate) const OFFERS: usize = 10;
/// Namespaces of others.
pub(crate) const TEAMS: usize = 40;
/// What the operator writes on a settled job when it lets it go.
const SETTLED_AT: &str = "hawser.dev/settled-at";
/// GPUs of a node.
const GPUS: usize = 8;

pub(crate) fn product(number: usize) -> String {
    format!("NVIDIA-H{}00-80GB-HBM3", number + 1)
}

pub(crate) fn tenant(offer: usize) -> String {
    format!("tenant-{offer}")
}

pub(crate) fn node_name(number: usize) -> String {
    format!("gpu-node-{number:04}.cluster.example")
}

/// A node that has the cards of an offer.
pub(crate) fn node_of(offer: usize, number: usize) -> String {
    node_name(offer % PRODUCTS + PRODUCTS * number)
}

fn uid(kind: u32, number: usize) -> String {
    format!("3f2504e0-{kind:04x}-41d3-9a0c-{number:012x}")
}

/// This long ago, as the API server writes times.
fn ago(seconds: i64) -> String {
    let then = Timestamp::now().checked_sub(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::UNIX_EPOCH);
    then.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Who wrote which fields: about half of what an object weighs.
fn managed(manager: &str, fields: &[&str], each: usize) -> Value {
    let named: Map<String, Value> = fields
        .iter()
        .map(|field| {
            let keys = (0..each)
                .map(|n| (format!("k:{{\"name\":\"field-{n}\"}}"), json!({".": {}, "f:name": {}, "f:value": {}})));
            (format!("f:{field}"), Value::Object(keys.collect()))
        })
        .collect();
    json!({"manager": manager, "operation": "Update", "apiVersion": "v1", "time": ago(86_400), "fieldsType": "FieldsV1",
        "fieldsV1": named})
}

/// A node with eight cards, as GPU Feature Discovery and cloud providers label it.
pub(crate) fn node(number: usize) -> Keyed {
    let name = node_name(number);
    let mut labels: Map<String, Value> =
        (0..45).map(|n| (format!("feature.node.kubernetes.io/cpu-cpuid.F{n}"), json!("true"))).collect();
    for (key, value) in [
        ("nvidia.com/gpu.product", product(number % PRODUCTS)),
        ("nvidia.com/gpu.count", GPUS.to_string()),
        ("nvidia.com/gpu.memory", "81559".to_owned()),
        ("nvidia.com/gpu.present", "true".to_owned()),
        ("nvidia.com/mig.capable", "true".to_owned()),
        ("nvidia.com/cuda.driver.major", "570".to_owned()),
        ("kubernetes.io/hostname", name.clone()),
        ("kubernetes.io/arch", "amd64".to_owned()),
        ("kubernetes.io/os", "linux".to_owned()),
        ("topology.kubernetes.io/zone", format!("zone-{}", number % 3)),
        ("node.kubernetes.io/instance-type", "gpu.8x".to_owned()),
    ] {
        labels.insert(key.to_owned(), json!(value));
    }
    let images: Vec<_> = (0..50)
        .map(|n| json!({"names": [format!("registry.example/team/image-{n}@sha256:{n:064x}"), format!("registry.example/team/image-{n}:v1.{n}")], "sizeBytes": 1_000_000_000 + n}))
        .collect();
    let amounts = json!({"cpu": "192", "memory": "2113542260Ki", "ephemeral-storage": "7499360296Ki", "hugepages-1Gi": "0",
        "hugepages-2Mi": "0", "pods": "110", "nvidia.com/gpu": GPUS.to_string(), "rdma/hca_shared": "63"});
    let conditions: Vec<_> =
        [("MemoryPressure", "False"), ("DiskPressure", "False"), ("PIDPressure", "False"), ("Ready", "True")]
            .iter()
            .map(|(kind, status)| {
                json!({"type": kind, "status": status, "lastHeartbeatTime": ago(60), "lastTransitionTime": ago(900_000),
            "reason": format!("KubeletHas{kind}"), "message": "kubelet has what it needs"})
            })
            .collect();
    let (a, b) = (number / 256, number % 256);
    let object = json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "uid": uid(1, number), "creationTimestamp": ago(900_000), "labels": labels,
            "annotations": {"node.alpha.kubernetes.io/ttl": "30", "volumes.kubernetes.io/controller-managed-attach-detach": "true",
                "nfd.node.kubernetes.io/feature-labels": (0..45).map(|n| format!("cpu-cpuid.F{n}")).collect::<Vec<_>>().join(",")},
            "managedFields": [managed("kubelet", &["metadata", "status"], 20), managed("nfd-master", &["metadata"], 45)]},
        "spec": {"podCIDR": format!("10.{}.{b}.0/24", 64 + a), "podCIDRs": [format!("10.{}.{b}.0/24", 64 + a)],
            "providerID": format!("cloud:///zone/{number:x}"),
            "taints": [{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}]},
        "status": {"capacity": amounts, "allocatable": amounts, "images": images, "conditions": conditions,
            "addresses": [{"type": "InternalIP", "address": format!("172.16.{a}.{b}")}, {"type": "Hostname", "address": node_name(number)}],
            "nodeInfo": {"kubeletVersion": "v1.34.1", "osImage": "Linux", "kernelVersion": "6.8.0", "architecture": "amd64",
                "containerRuntimeVersion": "containerd://2.1.4", "machineID": "m", "systemUUID": uid(9, number), "bootID": uid(8, number),
                "kubeProxyVersion": "", "operatingSystem": "linux"}}
    });
    (format!("{NODES}{}", node_name(number)), object)
}

/// Of a pod.
fn address(number: usize) -> String {
    format!("10.{}.{}.{}", 64 + number % 64, number / 256 % 256, number % 256)
}

/// Namespace of a pod of somebody else's.
pub(crate) fn team(number: usize) -> String {
    format!("team-{}", number % TEAMS)
}

pub(crate) fn pod_name(number: usize) -> String {
    format!("service-{}-7d9c5b8f6-{number:05x}", number / 20)
}

/// A pod of somebody else's without GPUs: of a Deployment, with a proxy beside the program.
pub(crate) fn pod(number: usize, nodes: usize) -> Keyed {
    let (namespace, name) = (team(number), pod_name(number));
    let env: Vec<_> = (0..15).map(|n| json!({"name": format!("SETTING_{n}"), "value": format!("http://service-{n}.team.svc.cluster.local:8080")})).collect();
    let container = |name: &str| {
        json!({"name": name, "image": format!("registry.example/team/{name}@sha256:{number:064x}"), "env": env,
            "args": ["--listen=0.0.0.0:8080", "--log-level=info"], "ports": [{"containerPort": 8080, "protocol": "TCP"}],
            "resources": {"limits": {"cpu": "2", "memory": "4Gi"}, "requests": {"cpu": "500m", "memory": "1Gi"}},
            "livenessProbe": {"httpGet": {"path": "/healthz", "port": 8080, "scheme": "HTTP"}, "periodSeconds": 10, "timeoutSeconds": 1, "successThreshold": 1, "failureThreshold": 3},
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File", "imagePullPolicy": "IfNotPresent",
            "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            "volumeMounts": [{"name": "config", "mountPath": "/etc/config"}, {"name": "kube-api-access", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": true}]})
    };
    let state = |name: &str| {
        json!({"name": name, "ready": true, "started": true, "restartCount": 0, "state": {"running": {"startedAt": ago(500_000)}}, "lastState": {},
            "image": format!("registry.example/team/{name}"), "imageID": format!("registry.example/team/{name}@sha256:{number:064x}"), "containerID": format!("containerd://{number:064x}")})
    };
    let conditions: Vec<_> = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"]
        .iter()
        .map(|kind| json!({"type": kind, "status": "True", "lastProbeTime": null, "lastTransitionTime": ago(500_000)}))
        .collect();
    let address = address(number);
    let object = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "uid": uid(2, number), "creationTimestamp": ago(500_000),
            "generateName": "service-7d9c5b8f6-",
            "labels": {"app.kubernetes.io/name": "service", "app.kubernetes.io/part-of": "platform", "pod-template-hash": "7d9c5b8f6", "team": namespace},
            "annotations": {"prometheus.io/scrape": "true", "checksum/config": format!("{number:064x}")},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "service-7d9c5b8f6", "uid": uid(3, number / 20), "controller": true, "blockOwnerDeletion": true}],
            "managedFields": [managed("kube-controller-manager", &["metadata", "spec"], 14), managed("kubelet", &["status"], 8)]},
        "spec": {"nodeName": node_name(number % nodes), "containers": [container("program"), container("proxy")],
            "volumes": [{"name": "config", "configMap": {"name": "config", "defaultMode": 420}},
                {"name": "kube-api-access", "projected": {"defaultMode": 420, "sources": [{"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}}]}}],
            "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
                {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}],
            "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst", "serviceAccountName": "default",
            "securityContext": {}, "schedulerName": "default-scheduler", "priority": 0, "enableServiceLinks": true, "preemptionPolicy": "PreemptLowerPriority"},
        "status": {"phase": "Running", "conditions": conditions, "hostIP": "172.16.0.1", "podIP": address, "podIPs": [{"ip": address}],
            "startTime": ago(500_000), "qosClass": "Burstable", "containerStatuses": [state("program"), state("proxy")]}
    });
    (format!("{PODS}{namespace}/{name}"), object)
}

/// What kubelet says of a job's pod whose program runs.
pub(crate) fn running(number: usize) -> Value {
    let state = |name: &str, state: Value| {
        json!({"name": name, "ready": true, "started": true, "restartCount": 0, "state": state, "lastState": {},
            "image": "registry.example/i", "imageID": format!("registry.example/i@sha256:{number:064x}"), "containerID": format!("containerd://{number:064x}")})
    };
    let runs = || json!({"running": {"startedAt": ago(30)}});
    let ended = json!({"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": ago(40), "finishedAt": ago(35), "containerID": "containerd://0"}});
    let conditions: Vec<_> = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"]
        .iter()
        .map(|kind| json!({"type": kind, "status": "True", "lastProbeTime": null, "lastTransitionTime": ago(40)}))
        .collect();
    let address = address(number);
    json!({"phase": "Running", "conditions": conditions, "hostIP": "172.16.0.1", "podIP": address, "podIPs": [{"ip": address}],
        "startTime": ago(45), "qosClass": "Burstable", 
        "initContainerStatuses": [state("probe", ended), state("meter", runs())], "containerStatuses": [state("job", runs())]})
}

/// A job that runs, as the operator itself has written it, and its pod.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    pub(crate) job: Value,
    pub(crate) pod: Value,
    pub(crate) id: String,
    /// When the market saw it start.
    pub(crate) started: Timestamp,
}

/// Another job after a pattern.
pub(crate) struct Like<'a> {
    pub(crate) number: usize,
    pub(crate) offer: usize,
    pub(crate) name: &'a str,
    pub(crate) id: &'a str,
}

impl Pattern {
    fn named(&self, object: &Value, kind: u32, like: &Like<'_>) -> Value {
        let text = |pointer: &str| self.job.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (name, uid_of_it, namespace) = (text("/metadata/name"), text("/metadata/uid"), text("/metadata/namespace"));
        let text = object
            .to_string()
            .replace(&name, like.name)
            .replace(&self.id, like.id)
            .replace(&uid_of_it, &uid(4, like.number))
            .replace(&format!("\"{namespace}\""), &format!("\"{}\"", tenant(like.offer)));
        let mut object: Value = serde_json::from_str(&text).unwrap_or_default();
        object["metadata"]["uid"] = json!(uid(kind, like.number));
        if let Some(metadata) = object["metadata"].as_object_mut() {
            // Its own place in etcd says it.
            metadata.remove("resourceVersion");
        }
        object
    }

    /// A job that the market saw start then, and its pod, on a node that has the cards of its offer.
    pub(crate) fn live(&self, like: &Like<'_>, started: Timestamp, attestor: &str, nodes: usize) -> [Keyed; 2] {
        let of_product = (nodes / PRODUCTS).max(1);
        let node = node_of(like.offer, like.number / OFFERS % of_product);
        let patterns = self.pod["spec"]["nodeName"].as_str().unwrap_or_default();
        let [mut job, mut pod] = [(&self.job, 4), (&self.pod, 5)]
            .map(|(object, kind)| with(&self.named(object, kind, like), patterns, &node));
        job["status"]["attestor"] = json!(attestor);
        for time in ["paidUntil", "claimableUntil"] {
            later(&mut job["status"]["settlement"][time], started.duration_since(self.started));
        }
        later(&mut job["status"]["startedAt"], started.duration_since(self.started));
        pod["spec"]["nodeSelector"]["nvidia.com/gpu.product"] = json!(product(like.offer % PRODUCTS));
        let address = address(like.number);
        pod["status"]["podIPs"] = json!([{"ip": address}]);
        pod["status"]["podIP"] = json!(address);
        [(key_of_job(like), job), (format!("{PODS}{}/{}", tenant(like.offer), like.name), pod)]
    }

    /// A job that was settled between two hours and six days ago, as the operator leaves it.
    pub(crate) fn settled(&self, like: &Like<'_>) -> Keyed {
        let mut job = self.named(&self.job, 6, like);
        let when = ago(7200 + i64::try_from(like.number).unwrap_or_default() * 7 % 500_000);
        let condition = |kind: &str, reason: &str, message: &str| json!({"type": kind, "status": "True", "reason": reason, "message": message, "lastTransitionTime": when, "observedGeneration": 1});
        if let Some(metadata) = job["metadata"].as_object_mut() {
            metadata.remove("finalizers");
        }
        job["metadata"]["annotations"][SETTLED_AT] = json!(when);
        job["status"]["phase"] = json!(Phase::Succeeded);
        job["status"]["outcome"] = json!(Outcome::Completed);
        job["status"]["reason"] = json!("ProgramEnded");
        job["status"]["message"] = json!("the program ended with exit code 0");
        job["status"]["settledAt"] = json!(when);
        if let Some(conditions) = job["status"]["conditions"].as_array_mut() {
            conditions.retain(|known| known["type"] != SETTLED && known["type"] != COMPLETE);
            conditions.push(condition(COMPLETE, "ProgramEnded", "the program ended with exit code 0"));
            conditions.push(condition(SETTLED, "Closed", "everything is claimed, and the rest is with the customer"));
        }
        (key_of_job(like), job)
    }
}

/// An object with other words in place of these.
fn with(object: &Value, these: &str, others: &str) -> Value {
    serde_json::from_str(&object.to_string().replace(these, others)).unwrap_or_default()
}

fn later(time: &mut Value, by: SignedDuration) {
    let then = time.as_str().and_then(|time| time.parse::<Timestamp>().ok()).and_then(|time| time.checked_add(by).ok());
    if let Some(then) = then {
        *time = json!(then.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    }
}

fn key_of_job(like: &Like<'_>) -> String {
    format!("{}{}/{}", JOBS, tenant(like.offer), like.name)
}

/// Where the API server keeps nodes, pods and `ComputeJobs`.
pub(crate) const NODES: &str = "/registry/minions/";
pub(crate) const PODS: &str = "/registry/pods/";
pub(crate) const JOBS: &str = "/registry/hawser.dev/computejobs/";
