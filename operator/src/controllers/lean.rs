//! Objects as they come from the API server, without what nobody reads: it is passed over while the JSON is parsed, so
//! that a page of a list is never in memory in full.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::marker::PhantomData;

use hawser_crds::{ComputeJob, GpuOffer};
use k8s_openapi::api::core::v1::{
    Container, Node, NodeAddress, NodeCondition, NodeSpec, NodeStatus, Pod, PodSpec, PodStatus, ResourceRequirements,
    Taint,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use kube::api::ListParams;
use kube::core::error_boundary::InvalidObject;
use kube::core::{DeserializeGuard, ObjectList, ObjectMeta, PartialObjectMeta, Request};
use kube::{Client, Resource};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::migration;

/// What kubectl writes into objects for itself.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// An object of a kind, read leanly.
#[derive(Clone, Debug)]
pub(crate) struct Lean<K>(pub K);

/// A kind that can be read leanly.
pub(crate) trait ReadLean: Sized {
    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error>;
}

impl<'de, K: ReadLean> Deserialize<'de> for Lean<K> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        K::read(from).map(Self)
    }
}

impl<K: Resource> Resource for Lean<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(of: &K::DynamicType) -> Cow<'_, str> {
        K::kind(of)
    }

    fn group(of: &K::DynamicType) -> Cow<'_, str> {
        K::group(of)
    }

    fn version(of: &K::DynamicType) -> Cow<'_, str> {
        K::version(of)
    }

    fn plural(of: &K::DynamicType) -> Cow<'_, str> {
        K::plural(of)
    }

    fn meta(&self) -> &ObjectMeta {
        self.0.meta()
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.0.meta_mut()
    }
}

/// Metadata but for managedFields: half of what an object weighs.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Meta {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    generation: Option<i64>,
    creation_timestamp: Option<Time>,
    deletion_timestamp: Option<Time>,
    deletion_grace_period_seconds: Option<i64>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    finalizers: Option<Vec<String>>,
    owner_references: Option<Vec<OwnerReference>>,
}

impl From<Meta> for ObjectMeta {
    fn from(meta: Meta) -> Self {
        let mut annotations = meta.annotations.unwrap_or_default();
        annotations.remove(LAST_APPLIED);
        Self {
            name: meta.name,
            namespace: meta.namespace,
            uid: meta.uid,
            resource_version: meta.resource_version,
            generation: meta.generation,
            creation_timestamp: meta.creation_timestamp,
            deletion_timestamp: meta.deletion_timestamp,
            deletion_grace_period_seconds: meta.deletion_grace_period_seconds,
            labels: meta.labels,
            annotations: (!annotations.is_empty()).then_some(annotations),
            finalizers: meta.finalizers,
            owner_references: meta.owner_references,
            ..Self::default()
        }
    }
}

#[derive(Deserialize)]
struct NodeParts {
    metadata: Meta,
    #[serde(default)]
    spec: NodeSpecParts,
    #[serde(default)]
    status: NodeStatusParts,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NodeSpecParts {
    taints: Option<Vec<Taint>>,
    unschedulable: Option<bool>,
    #[serde(rename = "podCIDR")]
    pod_cidr: Option<String>,
    #[serde(rename = "podCIDRs")]
    pod_cidrs: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NodeStatusParts {
    capacity: Option<BTreeMap<String, Quantity>>,
    allocatable: Option<BTreeMap<String, Quantity>>,
    addresses: Option<Vec<NodeAddress>>,
    conditions: Option<Vec<NodeCondition>>,
}

impl ReadLean for Node {
    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let NodeParts { metadata, spec, status } = NodeParts::deserialize(from)?;
        let spec = NodeSpec {
            taints: spec.taints,
            unschedulable: spec.unschedulable,
            pod_cidr: spec.pod_cidr,
            pod_cidrs: spec.pod_cidrs,
            ..NodeSpec::default()
        };
        let status = NodeStatus {
            capacity: status.capacity,
            allocatable: status.allocatable,
            addresses: status.addresses,
            conditions: status.conditions,
            ..NodeStatus::default()
        };
        Ok(Self { metadata: metadata.into(), spec: Some(spec), status: Some(status) })
    }
}

#[derive(Deserialize)]
struct PodParts {
    metadata: Meta,
    #[serde(default)]
    spec: PodSpecParts,
    #[serde(default)]
    status: PodStatus,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodSpecParts {
    node_name: Option<String>,
    containers: Option<Vec<ContainerParts>>,
    init_containers: Option<Vec<ContainerParts>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ContainerParts {
    name: String,
    resources: Option<ResourceRequirements>,
    restart_policy: Option<String>,
}

impl ReadLean for Pod {
    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let PodParts { metadata, spec, status } = PodParts::deserialize(from)?;
        let slim = |list: Vec<ContainerParts>| {
            let one = |ContainerParts { name, resources, restart_policy }| Container {
                name,
                resources,
                restart_policy,
                ..Container::default()
            };
            list.into_iter().map(one).collect::<Vec<_>>()
        };
        let spec = PodSpec {
            node_name: spec.node_name,
            containers: slim(spec.containers.unwrap_or_default()),
            init_containers: spec.init_containers.map(slim),
            ..PodSpec::default()
        };
        // Lists, in protobuf, have these alone: a watch is to say no more.
        let status = PodStatus {
            phase: status.phase,
            conditions: status.conditions,
            message: status.message,
            reason: status.reason,
            container_statuses: status.container_statuses,
            init_container_statuses: status.init_container_statuses,
            pod_ips: status.pod_ips,
            ..PodStatus::default()
        };
        Ok(Self { metadata: metadata.into(), spec: Some(spec), status: Some(status) })
    }
}

#[derive(Deserialize)]
struct CustomParts {
    metadata: Meta,
    #[serde(default)]
    spec: Value,
    #[serde(default)]
    status: Option<Value>,
}

/// A resource of ours, guarded: one that can't be read is there nevertheless, with its metadata and the reason.
fn read_guarded<'de, K, D>(from: D) -> Result<DeserializeGuard<K>, D::Error>
where
    K: Resource<DynamicType = ()> + DeserializeOwned,
    D: Deserializer<'de>,
{
    let CustomParts { metadata, spec, status } = CustomParts::deserialize(from)?;
    let metadata = ObjectMeta::from(metadata);
    let whole = json!({
        "apiVersion": K::api_version(&()), "kind": K::kind(&()), "spec": spec, "status": status,
        "metadata": serde_json::to_value(&metadata).map_err(D::Error::custom)?,
    });
    let read = serde_json::from_value::<K>(whole);
    Ok(DeserializeGuard(read.map_err(|error| InvalidObject { error: error.to_string(), metadata })))
}

#[derive(Deserialize)]
struct MetadataParts {
    metadata: Meta,
}

impl<K> ReadLean for PartialObjectMeta<K> {
    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let MetadataParts { metadata } = MetadataParts::deserialize(from)?;
        Ok(Self { types: None, metadata: metadata.into(), _phantom: PhantomData })
    }
}

/// A page of objects of which the metadata is asked for, and no more of it kept than is read.
pub(crate) async fn list_metadata<K>(
    client: &Client,
    params: &ListParams,
) -> Result<ObjectList<Lean<PartialObjectMeta<K>>>, kube::Error>
where
    K: Resource<DynamicType = ()> + Clone,
{
    let request = Request::new(K::url_path(&(), None)).list_metadata(params).map_err(kube::Error::BuildRequest)?;
    client.request(request).await
}

impl ReadLean for DeserializeGuard<ComputeJob> {
    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let DeserializeGuard(job) = read_guarded::<ComputeJob, D>(from)?;
        Ok(DeserializeGuard(job.map(|mut job| {
            // They say again what the spec says, and are read of jobs alone that can't be read.
            job.metadata.labels = None;
            migration::of_any_release(job)
        })))
    }
}

impl ReadLean for DeserializeGuard<GpuOffer> {
    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        read_guarded(from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata() -> Value {
        json!({
            "name": "o", "namespace": "t", "uid": "u", "resourceVersion": "7", "generation": 2,
            "creationTimestamp": "2026-01-01T00:00:00Z", "deletionTimestamp": "2026-01-02T00:00:00Z",
            "deletionGracePeriodSeconds": 30,
            "labels": {"a": "b"}, "annotations": {LAST_APPLIED: "{}", "hawser.dev/x": "y"}, "finalizers": ["f"],
            "ownerReferences": [{"apiVersion": "v", "kind": "K", "name": "n", "uid": "w"}],
            "managedFields": [{"manager": "m", "fieldsV1": {"f:spec": {}}}]
        })
    }

    #[test]
    fn of_metadata_everything_is_read_but_what_others_wrote_for_themselves() {
        let value = json!({"metadata": metadata(), "spec": {}});
        let Lean(node): Lean<Node> = serde_json::from_value(value).unwrap();
        let mut expected = metadata();
        expected.as_object_mut().unwrap().remove("managedFields");
        expected["annotations"].as_object_mut().unwrap().remove(LAST_APPLIED);
        assert_eq!(serde_json::to_value(&node.metadata).unwrap(), expected);
    }

    #[test]
    fn an_offer_that_can_not_be_read_is_there_with_its_metadata_and_the_reason() {
        let offer = |reserve: Value| -> DeserializeGuard<GpuOffer> {
            let spec = json!({"networkRef": "n", "gpu": {"product": "p"}, "capacity": {"reserve": reserve},
                "price": {"perGpuHour": "1", "token": "0x"}});
            let status = json!({"jobsActive": 3});
            let Lean(offer) = serde_json::from_value(json!({
                "apiVersion": "hawser.dev/v1alpha1", "kind": "GpuOffer",
                "metadata": metadata(), "spec": spec, "status": status
            }))
            .unwrap();
            offer
        };
        let read = offer(json!(1)).0.unwrap();
        assert_eq!((read.spec.capacity.reserve, read.status.unwrap().jobs_active), (1, 3));
        let unread = offer(json!(4_294_967_296_u64)).0.unwrap_err();
        assert!(unread.error.contains("4294967296"), "{}", unread.error);
        assert_eq!(
            (unread.metadata.name.as_deref(), unread.metadata.finalizers),
            (Some("o"), Some(vec!["f".to_owned()]))
        );
    }

    #[test]
    fn labels_are_kept_of_those_jobs_alone_that_can_not_be_read() {
        let labels = |gpus: Value| -> Option<BTreeMap<String, String>> {
            let spec = json!({"offerRef": "o", "workload": {"image": "i", "gpus": gpus}});
            let value = json!({"metadata": metadata(), "spec": spec});
            let Lean(job): Lean<DeserializeGuard<ComputeJob>> = serde_json::from_value(value).unwrap();
            job.meta().labels.clone()
        };
        assert_eq!(labels(json!(1)), None);
        assert_eq!(labels(json!("one")), Some([("a".to_owned(), "b".to_owned())].into()));
    }

    #[test]
    fn a_job_of_an_earlier_release_has_what_decides_in_typed_fields() {
        let settled = json!({"type": "Settled", "status": "True", "reason": "Closed", "message": "m",
            "lastTransitionTime": "2026-01-02T00:00:00Z"});
        let spec = json!({"offerRef": "o", "workload": {"image": "i", "gpus": 1}});
        let value = json!({"metadata": metadata(), "spec": spec, "status": {"conditions": [settled]}});
        let Lean(job): Lean<DeserializeGuard<ComputeJob>> = serde_json::from_value(value).unwrap();
        let settled_at = job.0.unwrap().status.unwrap().settled_at.map(|at| at.0.to_string());
        assert_eq!(settled_at.as_deref(), Some("2026-01-02T00:00:00Z"));
    }

    #[test]
    fn of_a_node_what_offers_and_network_policies_rest_on_is_read() {
        let value = json!({
            "metadata": metadata(),
            "spec": {"podCIDR": "10.0.0.0/24", "podCIDRs": ["10.0.0.0/24"], "unschedulable": true, "providerID": "x",
                "taints": [{"key": "k", "effect": "NoSchedule"}]},
            "status": {"capacity": {"nvidia.com/gpu": "8"}, "allocatable": {"nvidia.com/gpu": "7"}, "images": [],
                "addresses": [{"type": "InternalIP", "address": "10.0.0.7"}],
                "conditions": [{"type": "Ready", "status": "True"}]}
        });
        let Lean(node): Lean<Node> = serde_json::from_value(value.clone()).unwrap();
        let (mut spec, mut status) = (value["spec"].clone(), value["status"].clone());
        spec.as_object_mut().unwrap().remove("providerID");
        status.as_object_mut().unwrap().remove("images");
        assert_eq!(serde_json::to_value((node.spec, node.status)).unwrap(), json!([spec, status]));
    }

    #[test]
    fn of_a_pod_its_requests_its_node_and_its_status_are_read() {
        let Lean(pod): Lean<Pod> = serde_json::from_value(json!({
            "metadata": metadata(),
            "spec": {
                "nodeName": "a", "volumes": [{"name": "v"}],
                "initContainers": [{"name": "i", "restartPolicy": "Always", "image": "x", "resources": {}}],
                "containers": [{"name": "c", "env": [{"name": "A"}], "resources": {"limits": {"nvidia.com/gpu": "2"}}}]
            },
            "status": {"phase": "Running", "reason": "R"}
        }))
        .unwrap();
        let spec = pod.spec.unwrap();
        let gpus = crate::inventory::requested(&spec, "nvidia.com/gpu");
        assert_eq!((spec.node_name.as_deref(), gpus, spec.volumes), (Some("a"), 2, None));
        assert_eq!(spec.init_containers.unwrap()[0].restart_policy.as_deref(), Some("Always"));
        assert_eq!(pod.status.unwrap().phase.as_deref(), Some("Running"));
    }
}
