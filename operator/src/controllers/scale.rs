//! How much memory a large cluster takes: `cargo test -p hawser-operator --release --lib scale -- --ignored --nocapture`.

use std::sync::Arc;

use kube::core::DeserializeGuard;
use serde_json::{Value, json};

use crate::controllers::cache::Cache;
use crate::controllers::lean::{Lean, ReadLean};
use crate::controllers::listed::Listed;
use crate::controllers::look::{Action, Look, look_at};
use crate::controllers::packed::Packed;
use crate::controllers::work::{Backoffs, Due, Lane};
use crate::inventory::{Inventory, NodeFacts, PodFacts};

/// Resident memory of this process, in MiB.
fn resident() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u32 = text.split(' ').nth(1).unwrap().parse().unwrap();
    f64::from(pages) * 4096.0 / 1024.0 / 1024.0
}

fn managed(fields: usize) -> Value {
    let fields: serde_json::Map<String, Value> =
        (0..fields).map(|n| (format!("f:field-{n}"), json!({".": {}, "f:name": {}, "f:value": {}}))).collect();
    json!([{"manager": "kubelet", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
        "fieldsV1": {"f:metadata": fields.clone()}},
        {"manager": "hawser", "operation": "Apply", "fieldsV1": {"f:status": fields}}])
}

fn meta(prefix: &str, number: usize) -> Value {
    json!({"name": format!("{prefix}-{number:016x}"), "namespace": "tenants", "uid": format!("3f2504e0-4f89-11d3-9a0c-{number:012}"),
        "resourceVersion": format!("{number}"), "creationTimestamp": "2026-01-01T00:00:00Z", "managedFields": managed(15),
        "finalizers": ["hawser.dev/settlement"], "labels": {"hawser.dev/offer": "h100", "hawser.dev/network": "main"}})
}

fn node(number: usize) -> Value {
    let mut meta = meta("node", number);
    meta["labels"] =
        (0..30).map(|n| (format!("nvidia.com/label-{n}"), json!("true"))).collect::<serde_json::Map<_, _>>().into();
    meta["labels"]["nvidia.com/gpu.product"] = json!("h100");
    meta["labels"]["kubernetes.io/hostname"] = meta["name"].clone();
    let images: Vec<_> = (0..50).map(|n| json!({"names": [format!("r/{n}@sha256:{n:064}")], "sizeBytes": n})).collect();
    let amounts = json!({"cpu": "64", "memory": "1Ti", "pods": "110", "nvidia.com/gpu": "8"});
    json!({"metadata": meta, "spec": {"podCIDR": "10.0.0.0/24"}, "status": {"capacity": amounts, "allocatable": amounts, "images": images,
        "addresses": [{"type": "InternalIP", "address": format!("10.0.{}.{}", number / 256, number % 256)}],
        "conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-01-01T00:00:00Z"}]}})
}

fn pod(number: usize) -> Value {
    let mut meta = meta("job", number);
    let gpus = number.is_multiple_of(4);
    if gpus {
        meta["ownerReferences"] =
            json!([{"apiVersion": "hawser.dev/v1alpha1", "kind": "ComputeJob", "name": "j", "uid": meta["uid"]}]);
    }
    let resources = if gpus { json!({"limits": {"nvidia.com/gpu": "1"}}) } else { json!({"limits": {"cpu": "1"}}) };
    let state = json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}});
    let container = |name: &str| {
        json!({"name": name, "image": "registry.example/image@sha256:00", "resources": resources,
        "env": [{"name": "A", "value": "b"}], "volumeMounts": [{"name": "v", "mountPath": "/v"}]})
    };
    let status = |name: &str| json!({"name": name, "image": "i", "imageID": "i", "ready": true, "restartCount": 0, "state": state});
    json!({"metadata": meta, "spec": {"nodeName": format!("node-{:016x}", number % 5000), "containers": [container("job")],
        "initContainers": [container("probe"), container("meter")], "volumes": [{"name": "v", "emptyDir": {}}]},
        "status": {"phase": "Running", "containerStatuses": [status("job")], "initContainerStatuses": [status("probe"), status("meter")],
            "conditions": [{"type": "Ready", "status": "True"}, {"type": "PodScheduled", "status": "True"}]}})
}

fn job(number: usize, settled: bool) -> Value {
    let word = if settled { "True" } else { "False" };
    let conditions: Vec<_> = ["Accepted", "Scheduled", "Started", "Running", "Attested", "Settled"]
        .iter()
        .map(|kind| {
            json!({"type": kind, "status": if *kind == "Settled" { word } else { "True" }, "reason": "Reason",
            "message": "a sentence that says how things stand with it", "lastTransitionTime": "2026-01-01T00:00:00Z"})
        })
        .collect();
    json!({"metadata": meta("job", number),
        "spec": {"offerRef": "h100", "workload": {"image": "registry.example/image@sha256:00", "gpus": 1, "args": ["--steps", "100"]},
            "source": {"network": "main", "jobId": format!("0x{number:064x}"), "customer": format!("0x{number:040x}"), "seconds": 3600,
                "deposit": "1000000", "price": "1000000", "block": number}},
        "status": {"conditions": conditions, "pod": "p", "node": "n", "gpuUuids": ["GPU-3f2504e0-4f89-11d3-9a0c-000000000000"],
            "usage": {"gpuSeconds": 60, "voucher": {"gpuSeconds": 60, "evidenceRoot": format!("0x{number:064x}"),
                "signature": format!("0x{number:0130x}"), "attestor": format!("0x{number:040x}")}},
            "settlement": {"paid": "1", "unclaimed": "2", "deposited": "3"}}})
}

/// Reads objects from their text, as they come from the API server.
fn read<K: ReadLean>(value: &Value) -> K {
    let Lean(object) = serde_json::from_str(&value.to_string()).unwrap();
    object
}

#[test]
#[ignore = "a measurement: prints how much memory a large cluster takes"]
fn a_large_cluster() {
    let before = resident();
    let mut inventory = Inventory::default();
    let tell = |what: &str, since: f64| println!("{what}: {:.1} MiB", resident() - since);
    for number in 0..5_000 {
        let node = read(&node(number));
        let facts = NodeFacts::of(&node, &mut inventory.words);
        inventory.set_node(node.metadata.name.as_deref().unwrap(), Some(facts));
    }
    tell("5,000 nodes", before);
    let since = resident();
    for number in 0..40_000 {
        let pod = read(&pod(number));
        let facts = PodFacts::of(&pod, &mut inventory.words);
        inventory.set_pod(&crate::controllers::watch::name_of(&pod), facts);
    }
    tell("40,000 pods, 10,000 of them jobs'", since);
    let since = resident();
    let (store, mut writer) = kube::runtime::reflector::store();
    for number in 0..10_000 {
        let job: DeserializeGuard<hawser_crds::ComputeJob> = read(&job(number, false));
        let job = Packed::new(&job);
        inventory.set_job(&crate::controllers::watch::name_of(&job), job.facts.clone());
        writer.apply_watcher_event(&kube::runtime::watcher::Event::Apply(job));
    }
    tell("10,000 live jobs", since);
    tell("all of it", before);
    // Of settled jobs nothing is kept.
    assert_eq!((store.len(), inventory.nodes().count()), (10_000, 5_000));

    // As the kinds of k8s-openapi and of the CRDs, all of them: what a store holds without any of this.
    let since = resident();
    let nodes: Vec<k8s_openapi::api::core::v1::Node> =
        (0..1000).map(|n| serde_json::from_value(node(n)).unwrap()).collect();
    tell("1,000 nodes as they are", since);
    let since = resident();
    let pods: Vec<k8s_openapi::api::core::v1::Pod> =
        (0..1000).map(|n| serde_json::from_value(pod(n)).unwrap()).collect();
    tell("1,000 pods as they are", since);
    let since = resident();
    let jobs: Vec<hawser_crds::ComputeJob> = (0..1000).map(|n| serde_json::from_value(job(n, true)).unwrap()).collect();
    tell("1,000 jobs as they are, of which there were two", since);
    drop((nodes, pods, jobs));
}

/// Processor time of this process so far, in milliseconds.
fn processor() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = text.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11..13].iter().map(|ticks| f64::from(ticks.parse::<u32>().unwrap())).sum::<f64>() * 10.0
}

#[tokio::test]
#[ignore = "a measurement: prints what it takes that ten thousand jobs wait for their looks"]
async fn ten_thousand_looks() {
    let (store, mut writer) = kube::runtime::reflector::store();
    let (due, (listing, listed)) = (Due::default(), Listed::later("ComputeJob"));
    for number in 0..10_000 {
        let job = Packed::new(&read(&job(number, false)));
        due.add([crate::controllers::watch::name_of(&job)]);
        writer.apply_watcher_event(&kube::runtime::watcher::Event::Apply(job));
    }
    let looked = Arc::new(tokio::sync::Semaphore::new(0));
    let told = Arc::clone(&looked);
    let look = Look {
        kind: "ComputeJob",
        span: |_| tracing::Span::none(),
        reconcile: move |_: Arc<Packed>, _: Arc<Backoffs>| {
            let told = Arc::clone(&told);
            async move {
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
                told.add_permits(1);
                Ok(Action::await_change())
            }
        },
        failed: |_: Arc<Packed>, _: &crate::controllers::Error, _: Arc<Backoffs>| Action::await_change(),
        lane: |_: &Packed| Lane::default(),
        each: 64,
    };
    listing.done();
    let (before, since) = (processor(), resident());
    let looks = tokio::spawn(look_at(look, Cache { store, listed }, due.taken(), Arc::<Backoffs>::default()));
    let _half = looked.acquire_many(5_000).await.unwrap();
    println!("while half of them wait: {:.1} MiB more", resident() - since);
    let _all = looked.acquire_many(5_000).await.unwrap();
    println!("a look: {:.3} ms of processor time beside its own", (processor() - before) / 10_000.0);
    looks.abort();
}
