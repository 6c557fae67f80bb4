//! Evidence for programs: fields in camelCase, times in Unix seconds, as everywhere else.

use alloy::primitives::{Address, B256};
use hawser_attestation::{GpuSummary, Nvml, SegmentSummary, Summary, Tier, Version};
use jiff::Timestamp;
use serde::Serialize;

/// What the evidence says.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EvidenceView {
    /// Version of the format.
    version: Version,
    /// How far it can be trusted.
    pub(crate) tier: Tier,
    market: MarketView,
    gpus: u16,
    pub(crate) segments: Vec<SegmentView>,
    pub(crate) reports: u64,
    pub(crate) gpu_seconds: u64,
    /// Time of the first and of the last line.
    pub(crate) first: i64,
    pub(crate) last: i64,
    pub(crate) longest_gap_seconds: f64,
    /// Median of the gaps: about the attestors' interval.
    usual_gap_seconds: Option<u64>,
    /// What NVML said of each GPU, over all reports; empty where NVML was never visible.
    pub(crate) gpu_samples: Vec<GpuSummary>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct MarketView {
    chain_id: u64,
    address: Address,
}

/// One attestor's part.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SegmentView {
    pub(crate) attestor: Address,
    gpu_uuids: Vec<String>,
    base_gpu_seconds: u64,
    gpu_seconds: u64,
    pub(crate) reports: u64,
    nvml: Nvml,
    driver_version: Option<String>,
    /// Times of its header, its count's begin and its last line.
    header: i64,
    began: Option<i64>,
    last: i64,
    /// Root after its last line.
    evidence_root: B256,
    /// Whether its last report is there.
    pub(crate) finished: bool,
}

impl From<&Summary> for EvidenceView {
    fn from(summary: &Summary) -> Self {
        Self {
            version: summary.version,
            tier: summary.tier,
            market: MarketView { chain_id: summary.market.chain_id, address: summary.market.address },
            gpus: summary.gpus,
            segments: summary.segments.iter().map(SegmentView::from).collect(),
            reports: summary.reports,
            gpu_seconds: summary.gpu_seconds.0,
            first: summary.first.as_second(),
            last: summary.last.as_second(),
            longest_gap_seconds: summary.longest_gap.as_secs_f64(),
            usual_gap_seconds: summary.usual_gap.map(|gap| gap.as_secs()),
            gpu_samples: summary.gpu_samples.clone(),
        }
    }
}

impl From<&SegmentSummary> for SegmentView {
    fn from(segment: &SegmentSummary) -> Self {
        Self {
            attestor: segment.attestor,
            gpu_uuids: segment.gpu_uuids.clone(),
            base_gpu_seconds: segment.base_gpu_seconds.0,
            gpu_seconds: segment.gpu_seconds.0,
            reports: segment.reports,
            nvml: segment.nvml,
            driver_version: segment.driver_version.clone(),
            header: segment.time.as_second(),
            began: segment.began_at.map(Timestamp::as_second),
            last: segment.last.as_second(),
            evidence_root: segment.evidence_root.0,
            finished: segment.finished,
        }
    }
}
