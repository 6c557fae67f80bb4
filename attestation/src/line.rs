//! One line of evidence as text: the only JSON form that is read and written, and what its body can say.

use alloy::primitives::Address;
use hawser_market::{GpuSeconds, JobId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{EvidenceRoot, MarketId, Tier, Unknown, Version, VoucherSignature, format, strict};

/// Longest line of evidence, in bytes: room for the samples of 128 GPUs.
pub const MAX_LINE_BYTES: usize = 64 * 1024;

/// One line of evidence: a body and the attestor's voucher over the chain up to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// The text that is hashed: one JSON object, see [`Body`].
    pub body: String,
    /// Signature of the `UsageVoucher` of this line.
    pub signature: VoucherSignature,
}

/// Why a text is no line of evidence.
#[derive(Debug, thiserror::Error)]
pub enum ParseLineError {
    /// Longer than [`MAX_LINE_BYTES`].
    #[error("it has {0} bytes, at most {MAX_LINE_BYTES} are read")]
    TooLong(usize),
    /// Not the JSON that it should be.
    #[error("{what} is not what it should be: {error}")]
    Json {
        /// Which part.
        what: &'static str,
        /// What the parser says.
        error: serde_json::Error,
    },
    /// A newer reader's.
    #[error(transparent)]
    Unknown(#[from] Unknown),
    /// The same line could be written in more than one way, and this is not the one that is used.
    #[error("it is not written as {{\"body\":...,\"signature\":...}} without spaces: was it edited?")]
    NotCanonical,
}

impl Line {
    /// Reads one line, without its line feed.
    pub fn parse(text: &str) -> Result<Self, ParseLineError> {
        if text.len() > MAX_LINE_BYTES {
            return Err(ParseLineError::TooLong(text.len()));
        }
        let line: Self =
            serde_json::from_str(text).map_err(|error| ParseLineError::Json { what: "the line", error })?;
        // Hash and signature cover the body only; this covers the rest.
        if line.to_string() == text { Ok(line) } else { Err(ParseLineError::NotCanonical) }
    }

    /// What the body says.
    pub fn read_body(&self) -> Result<Body, ParseLineError> {
        if self.body.len() > MAX_LINE_BYTES {
            return Err(ParseLineError::TooLong(self.body.len()));
        }
        let wrong = |error| ParseLineError::Json { what: "the body", error };
        strict::check(&self.body).map_err(wrong)?;
        serde_json::from_str(&self.body)
            .map_err(|error| format::unknown(&self.body).map_or_else(|| wrong(error), Into::into))
    }
}

impl std::fmt::Display for Line {
    /// The line as it stands in a file, without its line feed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Field by field: a String always has a JSON form, a struct's serialiser could fail.
        let body = serde_json::Value::String(self.body.clone());
        write!(f, "{{\"body\":{body},\"signature\":\"{}\"}}", self.signature)
    }
}

/// What a line says. Unknown fields of a body are left alone, so that older readers can check newer evidence; how they are
/// written is not: no field twice, integers only, no `null`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Body {
    /// Line 0 of an attestor.
    Header(Header),
    /// Every line after it.
    Report(Report),
}

/// Who attests what: line 0 of an attestor's evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Header {
    /// Version of the format.
    #[serde(default)]
    pub version: Version,
    /// How far this evidence can be trusted: that of the offer.
    #[serde(default)]
    pub tier: Tier,
    /// The job.
    #[serde(deserialize_with = "strict::hex::deserialize")]
    pub job_id: JobId,
    /// Address of the attestor's key.
    #[serde(deserialize_with = "strict::hex::deserialize")]
    pub attestor: Address,
    /// EIP-155 chain id of the market.
    pub chain_id: u64,
    /// Address of the market.
    #[serde(deserialize_with = "strict::hex::deserialize")]
    pub market: Address,
    /// Number of the job's GPUs.
    pub gpus: u16,
    /// Their UUIDs as NVML gave them to probe (`nvmlDeviceGetUUID`); empty where NVML was not visible to it.
    pub gpu_uuids: Vec<String>,
    /// Use vouched for by earlier attestors of the job: this one's count begins there.
    pub base_gpu_seconds: GpuSeconds,
    /// Whether this attestor can sample the GPUs.
    #[serde(deserialize_with = "strict::named")]
    pub nvml: Nvml,
    /// `nvmlSystemGetDriverVersion`, where NVML is visible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver_version: Option<String>,
    /// Version of the sidecar.
    pub sidecar: String,
    /// When the header was made, by the node's clock.
    #[serde(with = "strict::time")]
    pub time: Timestamp,
}

impl Header {
    /// The market that the attestor's vouchers are for.
    pub fn market(&self) -> MarketId {
        MarketId { chain_id: self.chain_id, address: self.market }
    }
}

/// Whether the attestor can sample the GPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Nvml {
    /// Each report has a sample of each GPU.
    #[serde(rename = "visible")]
    Visible,
    /// Time is metered, nothing more is known of the GPUs.
    #[serde(rename = "not visible")]
    NotVisible,
}

/// Use so far, and the GPUs' state now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Number of the line: 1, 2, 3 ...
    pub sequence: u64,
    /// Root after the line before: a reader can begin to check at any line.
    #[serde(deserialize_with = "strict::hex::deserialize")]
    pub previous: EvidenceRoot,
    /// When it was made. Moved on by the monotonic clock since the attestor's start, so it never goes back.
    #[serde(with = "strict::time")]
    pub time: Timestamp,
    /// When the count began; absent: not yet.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "strict::maybe_time")]
    pub began_at: Option<Timestamp>,
    /// GPU-seconds since the job's start.
    pub gpu_seconds: GpuSeconds,
    /// The attestor's last report.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub last: bool,
    /// A sample of each GPU in the header's order; empty where NVML is not visible.
    pub gpus: Vec<GpuSample>,
}

/// State of one GPU as NVML gives it. A value that this GPU or driver does not have is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GpuSample {
    /// `nvmlDeviceGetUUID`
    pub uuid: String,
    /// `nvmlDeviceGetName`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `nvmlDeviceGetUtilizationRates`: part of the last sample period in which a kernel ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utilization_gpu_percent: Option<u32>,
    /// `nvmlDeviceGetUtilizationRates`: part of it in which memory was read or written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utilization_memory_percent: Option<u32>,
    /// `nvmlDeviceGetMemoryInfo_v2`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_used_bytes: Option<u64>,
    /// `nvmlDeviceGetMemoryInfo_v2`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_total_bytes: Option<u64>,
    /// `nvmlDeviceGetTemperature`, of the GPU's die.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature_celsius: Option<u32>,
    /// `nvmlDeviceGetPowerUsage`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub power_milliwatts: Option<u32>,
    /// `nvmlDeviceGetClockInfo`, streaming multiprocessors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sm_clock_mhz: Option<u32>,
    /// Why NVML did not answer for this GPU, e.g. that it fell off the bus.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Since when this GPU's time does not count, for as long as it is dead: when it answered last.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "strict::maybe_stopped")]
    pub stopped_at: Option<Timestamp>,
}
