//! `ComputeJob`: one order, or one local job, and how far it has come.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

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
    /// Name of the `GpuOffer`, in the same namespace.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("offerRef can't be changed: only spec.terminate can"))]
    pub offer_ref: String,
    /// The order on chain. If unset, this is a local job: metered, but not settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self == oldSelf").message("source can't be changed: only spec.terminate can"))]
    pub source: Option<OrderSource>,
    /// What to run.
    #[x_kube(validation = Rule::new("self == oldSelf").message("workload can't be changed: only spec.terminate can"))]
    pub workload: Workload,
    /// Ends the job now. What is owed is claimed, the rest of the deposit goes back to the customer.
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
    /// The network's name for the job: on an EVM network the market's `JobId` (32 bytes, hex).
    #[schemars(regex(pattern = r"^[!-~]{1,256}$"))]
    pub job_id: String,
    /// The network's name for the customer: on an EVM network an address.
    #[schemars(regex(pattern = r"^[!-~]{1,256}$"))]
    pub customer: String,
    /// What the network proves the order by: on an EVM network a hash (32 bytes, hex). Needed to end, decline and refund the
    /// job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[!-~]{1,256}$"))]
    pub order_hash: Option<String>,
    /// Seconds bought with the order.
    pub seconds: u32,
    /// Tokens deposited with the order, in the token's smallest unit.
    #[schemars(regex(pattern = r"^[0-9]{1,78}$"))]
    pub deposit: String,
    /// Price fixed by the order, in the token's smallest unit per GPU-hour.
    #[schemars(regex(pattern = r"^[0-9]{1,78}$"))]
    pub price: String,
    /// Height of the order on the network: on an EVM network its block.
    pub block: u64,
    /// Why the order's public spec could not be read. Such a job is declined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub malformed: Option<String>,
}

/// What to run: the public spec of an order (JSON, at most 4 KiB on chain).
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Workload {
    /// Kind of workload. `Batch` runs the program once, until it ends or the paid time is over.
    #[serde(default, skip_serializing_if = "WorkloadKind::is_batch")]
    #[schemars(extend("default" = "Batch"))]
    pub kind: WorkloadKind,
    /// Container image. Only a digest (`name@sha256:...`) says exactly what runs.
    #[schemars(length(max = 512))]
    pub image: String,
    /// Entry point. If unset, the image's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 4096)))]
    pub command: Vec<String>,
    /// Arguments. If unset, the image's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(max = 4096)))]
    pub args: Vec<String>,
    /// Environment variables. They are public: don't put secrets here. Names that begin with `NVIDIA_`, `LD_` or
    /// `CUDA_INJECTION`, and `GCONV_PATH` and `GLIBC_TUNABLES`, are refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub env: Vec<EnvVar>,
    /// Number of GPUs. For an order, it must equal the number that was paid for.
    #[schemars(range(max = 65_535))]
    pub gpus: u32,
    /// CPU. If unset, the offer's `limits.cpuPerGpu` times the number of GPUs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Quantity>,
    /// Memory. If unset, the offer's `limits.memoryPerGpu` times the number of GPUs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Quantity>,
    /// Ephemeral storage. If unset, the offer's `limits.storagePerGpu` times the number of GPUs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Quantity>,
}

/// Kind of a workload.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum WorkloadKind {
    /// A program that runs once and ends.
    #[default]
    Batch,
}

impl WorkloadKind {
    /// It is not written out: operators of earlier releases refuse a public spec that names a field which they don't know, and
    /// the API server fills it in.
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde takes")]
    const fn is_batch(&self) -> bool {
        matches!(self, Self::Batch)
    }
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

/// What the operator last saw of the job.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ComputeJobStatus {
    /// `metadata.generation` that this status is based on.
    pub observed_generation: Option<i64>,
    /// The job's state, in one word.
    pub phase: Phase,
    /// Why the phase is what it is, as one CamelCase word.
    pub reason: Option<String>,
    /// The same in words, once the job is over.
    pub message: Option<String>,
    /// When the order was accepted, or a local job had its GPUs.
    pub accepted_at: Option<Time>,
    /// When the job started on chain: the time of the block with `startJobs`. Of a local job, when its attestor enrolled.
    pub started_at: Option<Time>,
    /// How the job ended. If unset, it is not over.
    pub outcome: Option<Outcome>,
    /// The reason written to the market's log if the order is declined, at most 200 bytes.
    pub decline_reason: Option<String>,
    /// When everything was settled: what is owed is claimed, and the job is closed on chain.
    pub settled_at: Option<Time>,
    /// Until when the settled job is kept, with the retention that the operator had when it was settled. A later change of
    /// `jobRetentionSeconds` applies to this job too.
    pub kept_until: Option<Time>,
    /// Since when reports are missing that the job's meter should have sent.
    pub silent_since: Option<Time>,
    /// `Accepted`, `Scheduled`, `Started`, `Running`, `Attested`, `Settled`, `Complete`, `Failed`; of a job that
    /// can't be read `Readable` and `Ready`.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The job's pod.
    pub pod: Option<String>,
    /// The node that the pod runs on.
    pub node: Option<String>,
    /// UUIDs of the job's GPUs, as reported by NVML to the sidecar.
    pub gpu_uuids: Vec<String>,
    /// Address of the attestor whose vouchers are accepted.
    pub attestor: Option<String>,
    /// When kubelet started the customer's container.
    pub container_started_at: Option<Time>,
    /// When the customer's container ended.
    pub container_finished_at: Option<Time>,
    /// Use of the GPUs, as attested.
    pub usage: Option<Usage>,
    /// Payment, as the market has it.
    pub settlement: Option<SettlementStatus>,
}

/// How a job ended.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Outcome {
    /// The customer got what was bought.
    Completed,
    /// It began, and ended otherwise.
    Failed,
    /// It never began: the order was turned down.
    Declined,
    /// A reorganisation took the order away. If it comes back, it becomes a new job.
    Reorged,
    /// The order belongs to another `ComputeJob`.
    Duplicate,
}

/// A newer operator may know more outcomes. Whatever it is, the job is over: an operator of this release, after a rollback, must go on
/// to claim what is owed for it, which it can't for a job that it can't read.
impl<'de> Deserialize<'de> for Outcome {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match String::deserialize(deserializer)?.as_str() {
            "Completed" => Self::Completed,
            "Declined" => Self::Declined,
            "Reorged" => Self::Reorged,
            "Duplicate" => Self::Duplicate,
            _ => Self::Failed,
        })
    }
}

/// A job's state.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
pub enum Phase {
    /// Not accepted yet.
    #[default]
    Pending,
    /// Accepted; its pod is being scheduled and started.
    Starting,
    /// The customer's container runs, or may run.
    Running,
    /// Over; the last vouchers are being claimed and the job closed on chain.
    Settling,
    /// The program ended well and everything is settled.
    Succeeded,
    /// It ended otherwise and everything is settled.
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

    /// As it is written in `status.phase`.
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
    /// When the newest voucher was received.
    pub last_report: Option<Time>,
    /// The newest voucher, ready to be claimed.
    pub voucher: Option<VoucherRecord>,
    /// URL of the evidence.
    pub evidence: Option<String>,
    /// Why reports are no longer accepted: another job had one of this job's GPUs first.
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

/// The job as the market has it.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SettlementStatus {
    /// GPU-seconds claimed on chain.
    pub claimed_gpu_seconds: u64,
    /// Tokens credited to the provider and the fee sink, in the token's smallest unit.
    pub paid: Option<String>,
    /// Tokens attested but not claimed yet, in the token's smallest unit.
    pub unclaimed: Option<String>,
    /// The same as `paid` in whole tokens, as a decimal number. Unset while the offer's token can't be read.
    pub claimed: Option<String>,
    /// The same as `unclaimed` in whole tokens, as a decimal number. Unset while the offer's token can't be read.
    pub pending: Option<String>,
    /// Until when the unclaimed amount can be claimed. Afterwards it goes back to the customer.
    pub claimable_until: Option<Time>,
    /// Until when the job is paid for, including top-ups. Unset before its start.
    pub paid_until: Option<Time>,
    /// Tokens credited back to the customer, in the token's smallest unit. Set once the job is closed.
    pub refunded: Option<String>,
    /// Total deposit including top-ups, in the token's smallest unit.
    pub deposited: Option<String>,
    /// Hash of the newest transaction for this job.
    pub tx: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_outcome_that_only_a_newer_operator_knows_is_one_all_the_same() {
        for outcome in [Outcome::Completed, Outcome::Failed, Outcome::Declined, Outcome::Reorged, Outcome::Duplicate] {
            let status: ComputeJobStatus = serde_json::from_value(json!({"outcome": outcome})).unwrap();
            assert_eq!(status.outcome, Some(outcome));
        }
        let status: ComputeJobStatus = serde_json::from_value(json!({"outcome": "Preempted"})).unwrap();
        assert_eq!(status.outcome, Some(Outcome::Failed));
    }
}
