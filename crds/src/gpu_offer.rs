//! `GpuOffer`: GPUs of the cluster, their price and terms, and the offer's state on chain.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Toleration;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// GPUs of this cluster that are for sale on a network, and their terms.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[kube(
    group = "hawser.dev",
    version = "v1alpha1",
    kind = "GpuOffer",
    namespaced,
    shortname = "gpuo",
    category = "hawser",
    status = "GpuOfferStatus",
    doc = "GPUs of this cluster that are for sale on a network, and their terms.",
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
    /// How many of these GPUs are for sale.
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
    /// How the customer's container is isolated.
    #[serde(default)]
    pub isolation: Isolation,
    /// How use is attested.
    #[serde(default)]
    pub attestation: Attestation,
    /// How long pulling an image may take, and who pays for it.
    #[serde(default)]
    pub pull: Pull,
    /// Free text for customers, published in the offer's card on chain (region, driver, links).
    #[serde(default)]
    pub card: BTreeMap<String, String>,
    /// Stops selling. Running jobs continue.
    #[serde(default)]
    pub suspend: bool,
    /// Tolerations for nodes that are dedicated to GPU work: such nodes are counted, and jobs' pods get the tolerations. The
    /// taint named after `gpu.resourceName` is always tolerated.
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
    /// Extended resource registered by the device plugin.
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
    /// Maximum number of GPUs to sell. If unset, all that are free.
    pub max: Option<u32>,
    /// Number of GPUs always reserved for your own workloads.
    pub reserve: u32,
}

/// What a GPU-hour costs.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Price {
    /// Price per GPU-hour in whole tokens, as a decimal number, e.g. `"2.25"`.
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
    "rule": "self.startWindowSeconds <= 64800",
    "message": "limits.startWindowSeconds is longer than the market takes: write at most 64800 (18 hours)"
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
    /// Maximum number of GPUs per job. If unset, all that are offered.
    #[schemars(range(min = 1, max = 65_535))]
    pub gpus_per_job: Option<u32>,
    /// Maximum CPU per GPU that a job may request, and what it gets if it requests none.
    #[schemars(schema_with = "quantity")]
    pub cpu_per_gpu: Quantity,
    /// Maximum memory per GPU that a job may request, and what it gets if it requests none.
    #[schemars(schema_with = "quantity")]
    pub memory_per_gpu: Quantity,
    /// Maximum ephemeral storage per GPU that a job may request, and what it gets if it requests none.
    #[schemars(schema_with = "quantity")]
    pub storage_per_gpu: Quantity,
    /// Seconds after an order's block within which the job must start; otherwise the customer gets everything back. The market
    /// accepts at most 64,800 (18 hours).
    #[schemars(range(min = 10))]
    pub start_window_seconds: u32,
    /// Seconds after a job's end within which its use can be claimed. The market accepts 300 (five minutes) to 2,592,000
    /// (thirty days).
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
    /// Only images with these prefixes. If empty, images of every registry with a public name. kubelet pulls with the node's
    /// own credentials: deny private repositories that these can read.
    #[schemars(length(max = 64))]
    pub allow: Vec<String>,
    /// Never images with these prefixes.
    #[schemars(length(max = 64))]
    pub deny: Vec<String>,
}

/// How the customer's container is isolated.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Isolation {
    /// `RuntimeClass` for the job's pods. If unset, `nvidia` if the cluster has it, otherwise the cluster's default.
    pub runtime_class_name: Option<String>,
    /// Where the customer's container may connect to.
    pub egress: Egress,
    /// What jobs may be found to reach, although their `NetworkPolicy` forbids it, without the offer being closed: see the
    /// condition `NetworkIsolated`. If empty, an offer whose jobs reach anything of the cluster sells nothing.
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
    /// How far evidence of use can be trusted. Customers see it in the offer's card before they order, and in the evidence.
    pub tier: AttestationTier,
    /// Seconds between two reports of the sidecar.
    #[schemars(range(min = 1, max = 300))]
    pub interval_seconds: u32,
}

impl Default for Attestation {
    fn default() -> Self {
        Self { tier: AttestationTier::default(), interval_seconds: 10 }
    }
}

/// How far evidence of use can be trusted.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum AttestationTier {
    /// Use is signed, bounded and hash-chained by software in the job's pod. It doesn't show that the GPU is real.
    #[default]
    Metered,
}

/// How long pulling an image may take.
#[derive(JsonSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "self.freeSeconds <= self.timeoutSeconds",
    "message": "pull.freeSeconds is greater than pull.timeoutSeconds"
}]))]
pub struct Pull {
    /// Seconds of pulling that are not billed, counted from the start on chain.
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
    /// `metadata.generation` that this status is based on.
    pub observed_generation: Option<i64>,
    /// `Published`, `CapacityAvailable`, `DeviceIsolation`, `NamespaceIsolated`, `NetworkIsolated`, `StorageBounded`,
    /// `Readable`, `Ready`.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// GPUs of the offer's nodes.
    pub gpus: Option<GpuCount>,
    /// The offer as it is on chain.
    pub on_chain: Option<OnChainOffer>,
    /// Offer ids of earlier terms and of terms that are being posted, newest last. Orders for them may still appear on chain.
    pub earlier: Vec<String>,
    /// Number of this offer's jobs that are not over.
    pub jobs_active: u32,
    /// Whole tokens attested for this offer's jobs and not claimed yet, as a decimal number.
    pub pending: Option<String>,
    /// Whole tokens paid for this offer's jobs so far, the market's fee included, as a decimal number.
    pub earned: Option<String>,
    /// What the offer's canary, a pod without GPUs, was found to reach.
    pub network: Option<NetworkCheck>,
    /// How much of the daily limits on transactions caused by others is used up. A restart of the operator resets nothing.
    pub spending: Option<Spending>,
}

/// How much of an offer's two daily limits is used up, as the time at which each is fully available again.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spending {
    /// Updates of availability: 40 in a row, each regained after 24 minutes. If unset, all are available.
    pub updates_full_at: Option<Time>,
    /// Declined orders: 32 in a row, each regained after 15 minutes. If unset, all are available.
    pub declines_full_at: Option<Time>,
}

/// What an offer's canary found: a pod without GPUs that tries to reach what jobs must not reach.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NetworkCheck {
    /// `isolation.egress` of the newest canary.
    pub egress: Egress,
    /// `RuntimeClass` of the newest canary.
    pub runtime_class: Option<String>,
    /// When the newest canary with a result was created.
    pub time: Option<Time>,
    /// What it tried and could not reach.
    pub held: Vec<String>,
    /// What it reached in the cluster: pods, Services, the API server.
    pub cluster: Vec<String>,
    /// What it reached on its node.
    pub node: Vec<String>,
    /// Why a later canary had no result.
    pub failure: Option<String>,
    /// When that failure was found.
    pub failed_at: Option<Time>,
    /// Node on which the newest canary with a result checked whether image volumes are mounted.
    pub volumes_tried_on: Option<String>,
    /// Nodes that mount what an image declares as `VOLUME`. What a job writes there counts against no limit.
    pub volumes_mounted_on: Vec<String>,
}

/// GPUs of the offer's nodes, now.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GpuCount {
    /// GPUs in the nodes' capacity.
    pub total: u32,
    /// GPUs in the nodes' allocatable: those that the device plugin reports as healthy.
    pub healthy: u32,
    /// GPUs held by pods.
    pub in_use: u32,
    /// GPUs that are free and offered.
    pub offered: u32,
}

/// What the market holds of the offer.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OnChainOffer {
    /// The market's `OfferId` (8 bytes, hex).
    pub offer_id: String,
    /// Price in the token's smallest unit per GPU-hour.
    pub price: String,
    /// Available GPUs as published on chain.
    pub available: u32,
    /// Unix seconds until which the offer can be ordered from.
    pub valid_until: u64,
    /// keccak-256 of the newest card. The card itself is only in the chain's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card_hash: Option<String>,
}
