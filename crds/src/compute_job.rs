use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One order for GPU time, as it runs in this cluster.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[kube(
    group = "hawser.dev",
    version = "v1alpha1",
    kind = "ComputeJob",
    namespaced,
    shortname = "cjob",
    category = "hawser",
    status = "ComputeJobStatus",
    doc = "One order for GPU time, as it runs in this cluster.",
    derive = "PartialEq",
    validation = Rule::new("has(self.spec.source) == has(oldSelf.spec.source)")
        .message("spec.source can't be added or removed: only spec.terminate can be changed"),
    selectable = ".status.phase",
    printcolumn = r#"{"name":"Phase","type":"string","jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.reason"}"#,
    printcolumn = r#"{"name":"GPUs","type":"integer","jsonPath":".spec.workload.gpus"}"#,
    printcolumn = r#"{"name":"GPU-seconds","type":"integer","jsonPath":".status.usage.gpuSeconds"}"#,
    printcolumn = r#"{"name":"Paid","type":"string","jsonPath":".status.settlement.paid"}"#,
    printcolumn = r#"{"name":"Claimed","type":"string","jsonPath":".status.settlement.claimed","priority":1}"#,
    printcolumn = r#"{"name":"Pending","type":"string","jsonPath":".status.settlement.pending","priority":1}"#,
    printcolumn = r#"{"name":"Node","type":"string","jsonPath":".status.node","priority":1}"#,
    printcolumn = r#"{"name":"Customer","type":"string","jsonPath":".spec.source.customer","priority":1}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct ComputeJobSpec {
    /// Name of the `GpuOffer` in the same namespace.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("offerRef can't be changed: only spec.terminate can"))]
    pub offer_ref: String,
    /// The order on chain; absent: a local job, metered and not settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self == oldSelf").message("source can't be changed: only spec.terminate can"))]
    pub source: Option<OrderSource>,
    /// What to run.
    #[x_kube(validation = Rule::new("self == oldSelf").message("workload can't be changed: only spec.terminate can"))]
    pub workload: Workload,
    /// End the job now: what is owed is claimed, the rest goes back to the customer.
    #[serde(default)]
    pub terminate: bool,
}

/// The order on chain that a job comes from.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderSource {
    /// Name of the `DepinNetwork`.
    #[schemars(length(min = 1, max = 253))]
    pub network: String,
    /// The market's `JobId` (32 bytes, hex).
    #[schemars(regex(pattern = r"^0x[0-9a-f]{64}$"))]
    pub job_id: String,
    /// Address of the customer.
    #[schemars(regex(pattern = r"^0x[0-9a-fA-F]{40}$"))]
    pub customer: String,
    /// Seconds bought with the order.
    pub seconds: u32,
    /// Tokens deposited with the order, in the token's smallest unit.
    #[schemars(regex(pattern = r"^[0-9]{1,78}$"))]
    pub deposit: String,
    /// Price locked, in the token's smallest unit per GPU-hour.
    #[schemars(regex(pattern = r"^[0-9]{1,78}$"))]
    pub price: String,
    /// Block that holds the order.
    pub block: u64,
    /// Set where the public spec could not be read: why. Such a job is declined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub malformed: Option<String>,
}

/// What to run: the public spec of an order (JSON, at most 4 KiB on chain).
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Workload {
    /// Image, by digest where the customer wants to know what runs.
    #[schemars(length(max = 512))]
    pub image: String,
    /// Entry point; absent: the image's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 4096)))]
    pub command: Vec<String>,
    /// Arguments; absent: the image's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(max = 4096)))]
    pub args: Vec<String>,
    /// Environment. Public: no secrets. Names that begin with `NVIDIA_`, `LD_` or `CUDA_INJECTION`, and `GCONV_PATH` and
    /// `GLIBC_TUNABLES`, are refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub env: Vec<EnvVar>,
    /// GPUs; for an order it must equal the number that was paid for.
    #[schemars(range(max = 65_535))]
    pub gpus: u32,
    /// CPU; absent: the offer's `limits.cpuPerGpu` times GPUs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Quantity>,
    /// Memory; absent: the offer's `limits.memoryPerGpu` times GPUs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Quantity>,
    /// Ephemeral storage; absent: the offer's `limits.storagePerGpu` times GPUs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Quantity>,
}

/// A literal environment variable.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EnvVar {
    /// Name of the variable.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// Its value.
    #[serde(default)]
    #[schemars(length(max = 4096))]
    pub value: String,
}

/// What became of the order.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ComputeJobStatus {
    /// `metadata.generation` that this status was made from.
    pub observed_generation: Option<i64>,
    /// One word for the column; the conditions say more.
    pub phase: Phase,
    /// Why the phase is what it is, as one CamelCase word.
    pub reason: Option<String>,
    /// `Accepted`, `Scheduled`, `Started`, `Running`, `Attested`, `Settled`, `Complete`, `Failed`; of a job that
    /// can't be read `Readable` and `Ready`.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The job's pod.
    pub pod: Option<String>,
    /// The node that it runs on.
    pub node: Option<String>,
    /// UUIDs of its GPUs, as NVML gave them to the sidecar.
    pub gpu_uuids: Vec<String>,
    /// Address of the attestor whose vouchers count.
    pub attestor: Option<String>,
    /// When kubelet started the customer's container.
    pub container_started_at: Option<Time>,
    /// When the customer's container ended.
    pub container_finished_at: Option<Time>,
    /// What was used.
    pub usage: Option<Usage>,
    /// What was paid.
    pub settlement: Option<SettlementStatus>,
}

/// Where a job stands.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
pub enum Phase {
    /// Seen, not yet accepted.
    #[default]
    Pending,
    /// Accepted; the pod is scheduled and made ready.
    Starting,
    /// The customer's container runs, or may run.
    Running,
    /// Over; the last vouchers are claimed and the job is closed on chain.
    Settling,
    /// The program ended well and everything is settled.
    Succeeded,
    /// Ended otherwise and everything is settled.
    Failed,
    /// Declined on chain; everything went back to the customer.
    Declined,
}

impl Phase {
    /// In the order in which a job goes through them.
    pub const ALL: [Self; 7] =
        [Self::Pending, Self::Starting, Self::Running, Self::Settling, Self::Succeeded, Self::Failed, Self::Declined];
    /// Those of a job that is settled: it is kept to be read of, and nothing is done for it any more.
    pub const SETTLED: [Self; 3] = [Self::Succeeded, Self::Failed, Self::Declined];

    /// As it stands in `status.phase`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Starting => "Starting",
            Self::Running => "Running",
            Self::Settling => "Settling",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Declined => "Declined",
        }
    }
}

/// Attested use of a job.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Usage {
    /// Cumulative GPU-seconds of the newest voucher.
    pub gpu_seconds: u64,
    /// Vouchers accepted.
    pub vouchers_accepted: u64,
    /// Vouchers refused.
    pub vouchers_rejected: u64,
    /// Why the last one was refused.
    pub last_rejection: Option<String>,
    /// When the newest voucher came.
    pub last_report: Option<Time>,
    /// The newest voucher, ready to be claimed.
    pub voucher: Option<VoucherRecord>,
    /// Where the evidence lies.
    pub evidence: Option<String>,
    /// Why no report is taken any more: another job has one of its cards, and had it first.
    pub card_shared: Option<String>,
}

/// A signed EIP-712 `UsageVoucher`.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VoucherRecord {
    /// Cumulative GPU-seconds.
    pub gpu_seconds: u64,
    /// Head of the evidence's hash chain (32 bytes, hex).
    pub evidence_root: String,
    /// 65 bytes r|s|v, hex.
    pub signature: String,
    /// Who signed it.
    pub attestor: String,
}

/// What the market holds of the job.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SettlementStatus {
    /// GPU-seconds claimed on chain.
    pub claimed_gpu_seconds: u64,
    /// Tokens credited to the provider and the fee sink, in the token's smallest unit.
    pub paid: Option<String>,
    /// Tokens attested and not claimed yet, in the token's smallest unit.
    pub unclaimed: Option<String>,
    /// What `paid` says, in whole tokens as a decimal number; absent while the offer's token can't be read.
    pub claimed: Option<String>,
    /// What `unclaimed` says, in whole tokens as a decimal number; absent while the offer's token can't be read.
    pub pending: Option<String>,
    /// Until when what is unclaimed can be claimed; afterwards it goes back to the customer.
    pub claimable_until: Option<Time>,
    /// Until when the job's time is paid for, top-ups included; absent before its start.
    pub paid_until: Option<Time>,
    /// Tokens credited back to the customer, in the token's smallest unit; set once the job is closed.
    pub refunded: Option<String>,
    /// Tokens deposited in all, top-ups included, in the token's smallest unit.
    pub deposited: Option<String>,
    /// The last transaction.
    pub tx: Option<String>,
}
