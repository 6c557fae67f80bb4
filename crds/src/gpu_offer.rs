use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Toleration;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// GPUs of this cluster that are for sale on a network, and on what terms.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[kube(
    group = "hawser.dev",
    version = "v1alpha1",
    kind = "GpuOffer",
    namespaced,
    shortname = "gpuo",
    category = "hawser",
    status = "GpuOfferStatus",
    doc = "GPUs of this cluster that are for sale on a network, and on what terms.",
    derive = "PartialEq",
    printcolumn = r#"{"name":"Product","type":"string","jsonPath":".spec.gpu.product"}"#,
    printcolumn = r#"{"name":"Price","type":"string","jsonPath":".spec.price.perGpuHour"}"#,
    printcolumn = r#"{"name":"Total","type":"integer","jsonPath":".status.gpus.total"}"#,
    printcolumn = r#"{"name":"In use","type":"integer","jsonPath":".status.gpus.inUse"}"#,
    printcolumn = r#"{"name":"Offered","type":"integer","jsonPath":".status.gpus.offered"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].reason"}"#,
    printcolumn = r#"{"name":"Offer id","type":"string","jsonPath":".status.onChain.offerId","priority":1}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct GpuOfferSpec {
    /// Name of the `DepinNetwork` to sell on.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("networkRef can't be changed: delete the offer and make a new one"))]
    pub network_ref: String,
    /// Which GPUs.
    pub gpu: GpuSelector,
    /// How many of them.
    #[serde(default)]
    pub capacity: Capacity,
    /// What a GPU-hour costs.
    pub price: Price,
    /// What a job may ask for and how long it may run.
    #[serde(default)]
    pub limits: Limits,
    /// Whose images may run.
    #[serde(default)]
    pub images: Images,
    /// How the customer's container is kept apart.
    #[serde(default)]
    pub isolation: Isolation,
    /// How use is attested.
    #[serde(default)]
    pub attestation: Attestation,
    /// How long an image may take to come, and at whose cost.
    #[serde(default)]
    pub pull: Pull,
    /// Free text for customers, in the offer's card on chain (region, driver, links).
    #[serde(default)]
    pub card: BTreeMap<String, String>,
    /// Offer nothing new; running jobs go on.
    #[serde(default)]
    pub suspend: bool,
    /// Taints of nodes that are dedicated to GPU work: nodes with them are counted, and jobs' pods tolerate them. The taint
    /// that is named after `gpu.resourceName` is always tolerated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub tolerations: Vec<Toleration>,
}

/// Which GPUs an offer sells.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GpuSelector {
    /// Product name as GPU Feature Discovery labels it (`nvidia.com/gpu.product`), e.g. `NVIDIA-H100-80GB-HBM3`.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("gpu.product is part of the offer's identity on chain: make a new offer"))]
    pub product: String,
    /// Extended resource that the device plugin registers.
    #[serde(default = "default_resource_name")]
    pub resource_name: String,
    /// Further node labels that must match.
    #[serde(default)]
    pub node_selector: BTreeMap<String, String>,
}

fn default_resource_name() -> String {
    "nvidia.com/gpu".to_owned()
}

/// How many of the matching GPUs are for sale.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Capacity {
    /// At most so many GPUs; absent: all that are free.
    pub max: Option<u32>,
    /// So many GPUs are always left for local work.
    pub reserve: u32,
}

/// What a GPU-hour costs.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Price {
    /// Whole tokens per GPU-hour as a decimal number, e.g. `"2.25"`.
    #[schemars(regex(pattern = r"^[0-9]{1,12}(\.[0-9]{1,18})?$"))]
    pub per_gpu_hour: String,
    /// Address of the ERC-20 token.
    #[schemars(regex(pattern = r"^0x[0-9a-fA-F]{40}$"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("price.token is part of the offer's identity on chain: make a new offer"))]
    pub token: String,
}

/// What a job may ask for.
#[derive(JsonSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "self.minSeconds <= self.maxSeconds",
    "message": "limits.minSeconds is greater than limits.maxSeconds"
}, {
    "rule": "self.startWindowSeconds <= 86400",
    "message": "limits.startWindowSeconds is longer than the market takes: write at most 86400 (a day)"
}, {
    "rule": "self.claimWindowSeconds <= 2592000",
    "message": "limits.claimWindowSeconds is longer than the market takes: write at most 2592000 (thirty days)"
}]))]
pub struct Limits {
    /// Shortest time that can be bought, in seconds.
    #[schemars(range(min = 1, max = 16_777_215))]
    pub min_seconds: u32,
    /// Longest time that can be bought, top-ups included, in seconds.
    #[schemars(range(min = 1, max = 16_777_215))]
    pub max_seconds: u32,
    /// GPUs that one job may ask for; absent: all that are offered.
    #[schemars(range(min = 1, max = 65_535))]
    pub gpus_per_job: Option<u32>,
    /// CPU that a job may ask for per GPU (also what it gets when it asks for nothing).
    #[schemars(schema_with = "quantity")]
    pub cpu_per_gpu: Quantity,
    /// Memory that a job may ask for per GPU (also what it gets when it asks for nothing).
    #[schemars(schema_with = "quantity")]
    pub memory_per_gpu: Quantity,
    /// Ephemeral storage that a job may ask for per GPU (also what it gets when it asks for nothing).
    #[schemars(schema_with = "quantity")]
    pub storage_per_gpu: Quantity,
    /// Seconds after an order's block within which the job must start, or everything goes back: the market takes 86,400, a
    /// day, and less.
    #[schemars(range(min = 10))]
    pub start_window_seconds: u32,
    /// Seconds after a job's end within which its use can be claimed: the market takes 300, five minutes, to
    /// 2,592,000, thirty days.
    #[schemars(range(min = 300))]
    pub claim_window_seconds: u32,
}

/// A quantity as this operator reads it. Anything else, an empty text or null among them, is refused or replaced by the
/// default where it is written, and not found out when an order comes.
fn quantity(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "pattern": r"^[0-9]+(\.[0-9]{1,9})?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$",
        "x-kubernetes-int-or-string": true,
    })
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            min_seconds: 60,
            max_seconds: 7 * 24 * 3600,
            gpus_per_job: None,
            cpu_per_gpu: Quantity("4".to_owned()),
            memory_per_gpu: Quantity("16Gi".to_owned()),
            storage_per_gpu: Quantity("20Gi".to_owned()),
            start_window_seconds: 600,
            claim_window_seconds: 24 * 3600,
        }
    }
}

/// Whose images may run, by the beginning of the whole reference (`docker.io/library/`, `ghcr.io/org/`).
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Images {
    /// Only these; empty: every registry with a public name. kubelet pulls with the node's own credentials: where these open
    /// private repositories, deny them.
    #[schemars(length(max = 64))]
    pub allow: Vec<String>,
    /// Never these.
    #[schemars(length(max = 64))]
    pub deny: Vec<String>,
}

/// How the customer's container is kept apart.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Isolation {
    /// `RuntimeClass` for the job's pods; absent: `nvidia` where the cluster has it, else the cluster's default.
    pub runtime_class_name: Option<String>,
    /// May the customer's container reach addresses outside the cluster?
    pub egress: Egress,
    /// What jobs may turn out to reach without the offer being closed, though their `NetworkPolicy` forbids it: see the
    /// condition `NetworkIsolated`. Empty: an offer whose jobs reach anything of the cluster sells nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2))]
    pub accept_reachable: Vec<Reachable>,
}

/// Something of the cluster that no job should reach.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum Reachable {
    /// Other pods, Services and the API server: the cluster doesn't enforce the offer's `NetworkPolicy`.
    Cluster,
    /// The pod's own node, kubelet and whatever else listens there: some networks leave it open to their pods.
    Node,
}

/// Where the customer's container may connect to.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum Egress {
    /// Nowhere.
    None,
    /// Outside the cluster (not pods, services, nodes or the metadata address).
    #[default]
    Internet,
}

/// How use is attested.
#[derive(JsonSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Attestation {
    /// Seconds between two reports of the sidecar.
    #[schemars(range(min = 1, max = 300))]
    pub interval_seconds: u32,
}

impl Default for Attestation {
    fn default() -> Self {
        Self { interval_seconds: 10 }
    }
}

/// How long an image may take to come.
#[derive(JsonSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "self.freeSeconds <= self.timeoutSeconds",
    "message": "pull.freeSeconds is greater than pull.timeoutSeconds"
}]))]
pub struct Pull {
    /// Seconds of pulling, counted from the start on chain, that are not billed.
    pub free_seconds: u32,
    /// Seconds of pulling after which the job is ended.
    #[schemars(range(min = 1))]
    pub timeout_seconds: u32,
}

impl Default for Pull {
    fn default() -> Self {
        Self { free_seconds: 60, timeout_seconds: 600 }
    }
}

/// What the operator last saw of the offer.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GpuOfferStatus {
    /// `metadata.generation` that this status was made from.
    pub observed_generation: Option<i64>,
    /// `Published`, `CapacityAvailable`, `DeviceIsolation`, `NamespaceIsolated`, `NetworkIsolated`, `StorageBounded`,
    /// `Readable`, `Ready`.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// GPUs counted from nodes and pods.
    pub gpus: Option<GpuCount>,
    /// The offer as it stands on chain.
    pub on_chain: Option<OnChainOffer>,
    /// Ids of earlier terms and of those that are being posted, the newest last: orders for them may come out of the chain's
    /// log.
    pub earlier: Vec<String>,
    /// Jobs of this offer that are not over.
    pub jobs_active: u32,
    /// Whole tokens attested for this offer's jobs and not claimed yet, as a decimal number.
    pub pending: Option<String>,
    /// Whole tokens paid for this offer's jobs so far, the market's fee included, as a decimal number.
    pub earned: Option<String>,
    /// What a pod of this offer was seen to reach: its canary.
    pub network: Option<NetworkCheck>,
    /// What was spent on transactions that others cause, where it is not back yet: a restart of the operator gives nothing
    /// back.
    pub spending: Option<Spending>,
}

/// What was spent of the two daily measures of an offer, each as the moment at which all of it is back.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spending {
    /// Updates of what is available, 40 in a row: each takes 24 minutes to come back. Absent: all are there.
    pub updates_full_at: Option<Time>,
    /// Declines of strangers' orders, 32 in a row: each takes 15 minutes to come back. Absent: all are there.
    pub declines_full_at: Option<Time>,
}

/// What an offer's canary has found, a pod without GPUs that tries what jobs may not reach.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NetworkCheck {
    /// `isolation.egress` under which it was tried last.
    pub egress: Egress,
    /// `RuntimeClass` under which it was tried last.
    pub runtime_class: Option<String>,
    /// When the newest canary with a result was made.
    pub time: Option<Time>,
    /// What it tried and could not reach.
    pub held: Vec<String>,
    /// What it reached of the cluster: pods, Services, the API server.
    pub cluster: Vec<String>,
    /// What it reached on its node.
    pub node: Vec<String>,
    /// Why a later canary had no result.
    pub failure: Option<String>,
    /// When that was found.
    pub failed_at: Option<Time>,
    /// Node on which the newest canary with a result looked for volumes that images declare.
    pub volumes_tried_on: Option<String>,
    /// Nodes that mount what an image declares as `VOLUME`: what a job writes there is counted against no limit.
    pub volumes_mounted_on: Vec<String>,
}

/// GPUs of the offer's nodes, now.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GpuCount {
    /// In the nodes' capacity.
    pub total: u32,
    /// In the nodes' allocatable: those that the device plugin calls healthy.
    pub healthy: u32,
    /// Held by pods.
    pub in_use: u32,
    /// Free and said on chain to be available.
    pub offered: u32,
}

/// What the market holds of the offer.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OnChainOffer {
    /// The market's `OfferId` (12 bytes, hex).
    pub offer_id: String,
    /// Price in the token's smallest unit per GPU-hour.
    pub price: String,
    /// GPUs said to be available.
    pub available: u32,
    /// Unix seconds until which the offer can be ordered from.
    pub valid_until: u64,
    /// keccak-256 of the card that was posted last; the card itself stands in the chain's log only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card_hash: Option<String>,
}
