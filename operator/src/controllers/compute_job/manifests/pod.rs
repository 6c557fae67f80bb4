//! The pod of a job's member: `probe` looks at the GPUs, `meter` signs their use, then the customer's container runs. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use hawser_crds::{ComputeJob, GpuOffer, OrderSource};
use hawser_market::workload::Resources;
use hawser_proto::pod::{
    CA_FILE, GPU_DIR, IDENTITY_DIR, KEY_DIR, METER_CONTAINER, PROBE_CONTAINER, SIDECAR_PROGRAM, STARTED_COMMAND,
    TOKEN_AUDIENCE, TOKEN_FILE, env,
};
use k8s_openapi::api::core::v1::{HostAlias, Pod};
use kube::{Resource, ResourceExt};
use serde_json::{Value, json};

use super::{
    CA_CONFIG_MAP, CUSTOMER_ANNOTATION, JOB_ID_ANNOTATION, JOB_LABEL, NETWORK_ANNOTATION, ORDER_ANNOTATION,
    POD_FINALIZER, PRIORITY_CLASS, SERVICE_ACCOUNT, customer,
};
use crate::controllers::{OFFER_LABEL, label_value};
use crate::inventory::node_selector;
use crate::inventory::tolerations;
use crate::network::JobId;

/// The user that all three containers run as.
pub(super) const USER: i64 = 65532;

/// A container that somebody's webhook puts beside the job's own outlives the program and holds its GPUs: whoever does so
/// is asked to leave this pod alone, each in its own words.
pub(super) const NO_SIDECARS: [(&str, &str); 9] = [
    ("admission.datadoghq.com/enabled", "false"),
    ("consul.hashicorp.com/connect-inject", "false"),
    ("dapr.io/enabled", "false"),
    ("kuma.io/sidecar-injection", "disabled"),
    ("linkerd.io/inject", "disabled"),
    ("openservicemesh.io/sidecar-injection", "disabled"),
    ("sidecar.istio.io/inject", "false"),
    ("sidecar.opentelemetry.io/inject", "false"),
    ("vault.hashicorp.com/agent-inject", "false"),
];
/// Those that read labels.
pub(super) const NO_SIDECARS_BY_LABEL: [(&str, &str); 3] = [
    ("admission.datadoghq.com/enabled", "false"),
    ("kuma.io/sidecar-injection", "disabled"),
    ("sidecar.istio.io/inject", "false"),
];

/// What a pod is made from, besides job and offer.
#[derive(Clone, Debug)]
pub(crate) struct PodInput<'a> {
    /// What the member's pod is called.
    pub name: &'a str,
    /// The job's id as its network has it.
    pub network_job: &'a JobId,
    /// The job's id as the attestor signs it.
    pub job_id: String,
    /// EIP-155 chain id; 0 for a local job.
    pub chain_id: u64,
    /// The market's address; zero for a local job.
    pub market: String,
    /// Image with `hawser-sidecar`.
    pub sidecar_image: &'a str,
    /// Where meter reports to.
    pub attestation_url: &'a str,
    /// `RuntimeClass`, where there is one.
    pub runtime_class: Option<&'a str>,
    /// What the customer's container gets.
    pub resources: &'a Resources,
}

fn of_order(source: &OrderSource) -> Vec<(&'static str, &str)> {
    let hash = source.order_hash.as_deref().map(|hash| (ORDER_ANNOTATION, hash));
    let of_all = [(NETWORK_ANNOTATION, source.network.as_str()), (CUSTOMER_ANNOTATION, source.customer.as_str())];
    of_all.into_iter().chain(hash).collect()
}

/// The pod of one of the job's members: probe looks at the GPUs, meter signs their use, then the customer's container runs.
///
/// # Errors
/// Never with a job that the API server took; the serializer's error otherwise.
pub(crate) fn pod(job: &ComputeJob, offer: &GpuOffer, input: &PodInput<'_>) -> Result<Pod, serde_json::Error> {
    let gpu = &offer.spec.gpu;
    let gpus = json!({&gpu.resource_name: job.spec.workload.gpus.to_string()});
    let mut labels: BTreeMap<&str, String> = BTreeMap::from([
        (JOB_LABEL, label_value(&job.name_any())),
        (OFFER_LABEL, label_value(&job.spec.offer_ref)),
        ("app.kubernetes.io/managed-by", "hawser".to_owned()),
    ]);
    let mut annotations = BTreeMap::from(NO_SIDECARS);
    annotations.insert(JOB_ID_ANNOTATION, input.network_job.as_str());
    annotations.extend(job.spec.source.iter().flat_map(of_order));
    labels.extend(NO_SIDECARS_BY_LABEL.map(|(name, value)| (name, value.to_owned())));
    serde_json::from_value(json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": input.name,
            "namespace": job.namespace(),
            "labels": labels,
            "annotations": annotations,
            "finalizers": [POD_FINALIZER],
            "ownerReferences": job.controller_owner_ref(&()).map(|owner| vec![owner]),
        },
        "spec": {
            "restartPolicy": "Never",
            "serviceAccountName": SERVICE_ACCOUNT,
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "priorityClassName": PRIORITY_CLASS,
            "runtimeClassName": input.runtime_class,
            "terminationGracePeriodSeconds": 30,
            "nodeSelector": node_selector(gpu),
            "tolerations": tolerations(&offer.spec),
            "securityContext": {
                "runAsNonRoot": true, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER,
                "seccompProfile": {"type": "RuntimeDefault"}
            },
            "volumes": volumes(input.resources),
            "initContainers": [probe(job, input, &gpus), meter(job, offer, input)],
            "containers": [customer::container(job, input.resources, &gpus)],
        }
    }))
}

/// Tells the pod the attestation service's address: with it meter needs no DNS. A host that is an address itself, as
/// one made from the URL may be, says it already.
pub(crate) fn with_host_alias(mut pod: Pod, host: &str, address: IpAddr) -> Pod {
    if host.parse::<IpAddr>().is_err()
        && let Some(spec) = &mut pod.spec
    {
        let alias = HostAlias { ip: address.to_string(), hostnames: Some(vec![host.to_owned()]) };
        spec.host_aliases.get_or_insert_default().push(alias);
    }
    pod
}

fn volumes(resources: &Resources) -> Vec<Value> {
    let [home, shm] = customer::volumes(resources);
    vec![
        home,
        shm,
        json!({"name": "gpus", "emptyDir": {"sizeLimit": "1Mi"}}),
        // Holds meter's journal twice, and counts as meter's memory: docs/attestation.md says for how long it suffices.
        json!({"name": "key", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}}),
        json!({"name": "identity", "projected": {"sources": [
            {"serviceAccountToken": {"audience": TOKEN_AUDIENCE, "expirationSeconds": 3600, "path": TOKEN_FILE}},
            {"configMap": {"name": CA_CONFIG_MAP, "items": [{"key": CA_FILE, "path": CA_FILE}]}}
        ]}}),
    ]
}

/// What probe and meter get: something of everything, or a namespace with a quota takes no job.
pub(super) fn sidecars(gpus: &Value) -> Value {
    let with = |cpu: &str, memory: &str, storage: &str| {
        let mut list = gpus.clone();
        list["cpu"] = json!(cpu);
        list["memory"] = json!(memory);
        list["ephemeral-storage"] = json!(storage);
        list
    };
    json!({"requests": with("10m", "32Mi", "16Mi"), "limits": with("1", "256Mi", "256Mi")})
}

fn probe(job: &ComputeJob, input: &PodInput<'_>, gpus: &Value) -> Value {
    json!({
        "name": PROBE_CONTAINER,
        "image": input.sidecar_image,
        "args": [PROBE_CONTAINER],
        "env": [{"name": env::GPUS, "value": job.spec.workload.gpus.to_string()}],
        "securityContext": restricted(true),
        "resources": sidecars(gpus),
        "volumeMounts": [{"name": "gpus", "mountPath": GPU_DIR}],
    })
}

fn meter(job: &ComputeJob, offer: &GpuOffer, input: &PodInput<'_>) -> Value {
    let downward = |path: &str| json!({"fieldRef": {"fieldPath": path}});
    json!({
        "name": METER_CONTAINER,
        "image": input.sidecar_image,
        "args": [METER_CONTAINER],
        "restartPolicy": "Always",
        "securityContext": restricted(true),
        "resources": sidecars(&json!({})),
        "env": [
            // Sees every card of the node through NVIDIA's runtime, and samples those that probe named.
            {"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"},
            {"name": "NVIDIA_DRIVER_CAPABILITIES", "value": "utility"},
            {"name": env::OPERATOR, "value": input.attestation_url},
            {"name": env::JOB_ID, "value": input.job_id},
            {"name": env::GPUS, "value": job.spec.workload.gpus.to_string()},
            {"name": env::CHAIN_ID, "value": input.chain_id.to_string()},
            {"name": env::MARKET, "value": input.market},
            {"name": env::REPORT_INTERVAL_SECONDS, "value": offer.spec.attestation.interval_seconds.to_string()},
            {"name": "POD_NAME", "valueFrom": downward("metadata.name")},
            {"name": "POD_UID", "valueFrom": downward("metadata.uid")},
            {"name": "POD_NAMESPACE", "valueFrom": downward("metadata.namespace")},
        ],
        // Holds the customer's container until the start is mined. The job is ended by the operator when that takes too
        // long, so kubelet itself gives up only much later.
        "startupProbe": {
            "exec": {"command": [SIDECAR_PROGRAM, STARTED_COMMAND]},
            "periodSeconds": 1, "timeoutSeconds": 5, "failureThreshold": 86400
        },
        "volumeMounts": [
            {"name": "gpus", "mountPath": GPU_DIR, "readOnly": true},
            {"name": "key", "mountPath": KEY_DIR},
            {"name": "identity", "mountPath": IDENTITY_DIR, "readOnly": true}
        ],
    })
}

pub(super) fn restricted(read_only: bool) -> Value {
    json!({
        "allowPrivilegeEscalation": false,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": read_only,
    })
}

#[cfg(test)]
mod tests {

    use super::*;

    fn built(workload: Value) -> Pod {
        built_of(json!({"offerRef": "h100", "workload": workload}))
    }

    #[expect(clippy::needless_pass_by_value, reason = "json! at the call reads best")]
    fn built_of(spec: Value) -> Pod {
        let offer = serde_json::from_value(json!({
            "apiVersion": "hawser.dev/v1alpha1", "kind": "GpuOffer", "metadata": {"name": "h100", "namespace": "tenants"},
            "spec": {
                "networkRef": "n", "gpu": {"product": "NVIDIA-H100-80GB-HBM3", "nodeSelector": {"zone": "a"}},
                "tolerations": [{"key": "sku", "operator": "Exists"}],
                "price": {"perGpuHour": "1", "token": "0x0000000000000000000000000000000000000001"}
            }
        }))
        .unwrap();
        let job = serde_json::from_value(json!({
            "apiVersion": "hawser.dev/v1alpha1", "kind": "ComputeJob",
            "metadata": {"name": "job-1", "namespace": "tenants", "uid": "u"},
            "spec": spec
        }))
        .unwrap();
        let resources = Resources { cpu: "8".to_owned(), memory: "32Gi".to_owned(), storage: "40Gi".to_owned() };
        let input = PodInput {
            name: "job-1",
            network_job: &"lease-1".into(),
            job_id: "0x01".to_owned(),
            chain_id: 31337,
            market: "0x02".to_owned(),
            sidecar_image: "sidecar",
            attestation_url: "https://a",
            runtime_class: Some("nvidia"),
            resources: &resources,
        };
        pod(&job, &offer, &input).unwrap()
    }

    #[test]
    fn the_pod_tolerates_what_the_count_tolerates() {
        let spec = built(json!({"image": "i", "gpus": 1})).spec.unwrap();
        let keys: Vec<_> = spec.tolerations.unwrap().into_iter().filter_map(|t| t.key).collect();
        assert_eq!(keys, ["nvidia.com/gpu", "sku"]);
    }

    #[test]
    fn probe_and_customer_have_the_gpus_and_meter_has_none() {
        let spec = built(json!({"image": "i", "gpus": 2})).spec.unwrap();
        let init = spec.init_containers.unwrap();
        let gpus = |c: &k8s_openapi::api::core::v1::Container| {
            c.resources.as_ref().unwrap().limits.as_ref().unwrap().get("nvidia.com/gpu").map(|q| q.0.clone())
        };
        assert_eq!(gpus(&init[0]).as_deref(), Some("2"));
        assert_eq!(gpus(&init[1]), None);
        assert_eq!(gpus(&spec.containers[0]).as_deref(), Some("2"));
    }

    #[test]
    fn the_customers_container_sees_no_volume_of_the_others_no_token_and_no_node_of_its_choice() {
        let spec = built(json!({"image": "i", "gpus": 1, "env": [{"name": "A", "value": "$(B)"}]})).spec.unwrap();
        assert_eq!(spec.automount_service_account_token, Some(false));
        let seen = |c: &k8s_openapi::api::core::v1::Container| -> Vec<String> {
            c.volume_mounts.iter().flatten().map(|mount| mount.name.clone()).collect()
        };
        let others: Vec<_> = spec.init_containers.iter().flatten().flat_map(seen).collect();
        assert!(seen(&spec.containers[0]).iter().all(|name| !others.contains(name)));
        assert_eq!(spec.containers[0].image_pull_policy.as_deref(), Some("Always"));
        let selector = spec.node_selector.unwrap();
        assert_eq!(
            (selector["nvidia.com/gpu.product"].as_str(), selector["zone"].as_str()),
            ("NVIDIA-H100-80GB-HBM3", "a")
        );
    }

    #[test]
    fn every_container_is_within_pod_security_restricted() {
        let spec = built(json!({"image": "i", "gpus": 1})).spec.unwrap();
        let pod = spec.security_context.unwrap();
        assert_eq!(pod.run_as_non_root, Some(true));
        assert_eq!(pod.seccomp_profile.unwrap().type_, "RuntimeDefault");
        for container in spec.init_containers.unwrap().iter().chain(&spec.containers) {
            let context = container.security_context.as_ref().unwrap();
            assert_eq!(context.allow_privilege_escalation, Some(false), "{}", container.name);
            assert_eq!(context.capabilities.as_ref().unwrap().drop, Some(vec!["ALL".to_owned()]));
        }
    }

    #[test]
    fn the_pod_keeps_its_last_voucher_until_it_was_read() {
        let pod = built(json!({"image": "i", "gpus": 1}));
        assert_eq!(pod.metadata.finalizers, Some(vec![POD_FINALIZER.to_owned()]));
        assert_eq!(pod.metadata.owner_references.unwrap()[0].kind, "ComputeJob");
    }

    #[test]
    fn meters_journal_has_room_in_its_volume_and_the_volume_in_meters_memory() {
        let spec = built(json!({"image": "i", "gpus": 1})).spec.unwrap();
        let key = spec.volumes.unwrap().into_iter().find(|volume| volume.name == "key").unwrap().empty_dir.unwrap();
        assert_eq!((key.medium.as_deref(), key.size_limit.unwrap().0.as_str()), (Some("Memory"), "64Mi"));
        let meter = spec.init_containers.unwrap().into_iter().find(|c| c.name == METER_CONTAINER).unwrap();
        assert_eq!(meter.resources.unwrap().limits.unwrap()["memory"].0, "256Mi");
    }

    #[test]
    fn a_pod_that_may_not_ask_dns_knows_the_attestation_service_by_address() {
        let plain = || built(json!({"image": "i", "gpus": 1}));
        let address = "10.96.0.7".parse().unwrap();
        let spec = with_host_alias(plain(), "hawser-attestation.hawser.svc", address).spec.unwrap();
        let alias =
            HostAlias { ip: "10.96.0.7".to_owned(), hostnames: Some(vec!["hawser-attestation.hawser.svc".to_owned()]) };
        assert_eq!(spec.host_aliases, Some(vec![alias]));
        assert_eq!(with_host_alias(plain(), "10.96.0.7", address), plain());
    }

    #[test]
    fn every_container_has_what_a_quota_asks_for() {
        let spec = built(json!({"image": "i", "gpus": 1})).spec.unwrap();
        for container in spec.init_containers.unwrap().iter().chain(&spec.containers) {
            let resources = container.resources.clone().unwrap();
            for (list, kind) in [(resources.requests, "requests"), (resources.limits, "limits")] {
                for what in ["cpu", "memory", "ephemeral-storage"] {
                    let list = list.as_ref().unwrap();
                    assert!(list.contains_key(what), "{} has no {kind} of {what}", container.name);
                }
            }
        }
    }

    #[test]
    fn webhooks_that_inject_containers_are_asked_to_leave_the_pod_alone() {
        let meta = built(json!({"image": "i", "gpus": 1})).metadata;
        let (annotations, labels) = (meta.annotations.unwrap(), meta.labels.unwrap());
        assert_eq!(annotations["sidecar.istio.io/inject"], "false");
        assert_eq!(annotations["linkerd.io/inject"], "disabled");
        assert_eq!((labels["sidecar.istio.io/inject"].as_str(), labels[JOB_LABEL].as_str()), ("false", "job-1"));
    }

    #[test]
    fn a_pod_says_whose_its_order_is_and_that_of_a_local_job_says_nothing() {
        let (customer, hash) = (format!("0x{}", "05".repeat(20)), format!("0x{}", "06".repeat(32)));
        let spec = json!({
            "offerRef": "h100", "workload": {"image": "i", "gpus": 1},
            "source": {"network": "n", "jobId": format!("0x{}", "07".repeat(32)), "customer": customer, "orderHash": hash,
                "seconds": 1, "deposit": "1", "price": "1", "block": 1}
        });
        let annotations = built_of(spec).metadata.annotations.unwrap();
        let names = [NETWORK_ANNOTATION, JOB_ID_ANNOTATION, CUSTOMER_ANNOTATION, ORDER_ANNOTATION];
        let said = names.map(|name| annotations[name].as_str());
        assert_eq!(said, ["n", "lease-1", customer.as_str(), hash.as_str()]);
        let local = built(json!({"image": "i", "gpus": 1})).metadata.annotations.unwrap();
        assert!(!local.contains_key(CUSTOMER_ANNOTATION) && !local.contains_key(ORDER_ANNOTATION));
    }
}
