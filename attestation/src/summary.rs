//! What verified evidence says: totals, times, samples of each GPU, and what is odd about it.

use std::time::Duration;

use alloy::primitives::Address;
use hawser_market::{GpuSeconds, JobId};
use jiff::Timestamp;
use serde::Serialize;

use crate::{
    EvidenceChain, EvidenceRoot, Finding, FindingKind, Header, MarketId, Nvml, Report, Tier, Version, finding,
};

/// What verified evidence says. To be compared with the chain: the attestors that the market named, and for each claim
/// the root in its log ([`Summary::vouched`]).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Version of the evidence's format.
    pub version: Version,
    /// How far it can be trusted.
    pub tier: Tier,
    /// The job.
    pub job_id: JobId,
    /// The market that the vouchers are for.
    pub market: MarketId,
    /// Number of the job's GPUs.
    pub gpus: u16,
    /// The attestors in order.
    pub segments: Vec<SegmentSummary>,
    /// Reports of all attestors.
    pub reports: u64,
    /// Use at the end.
    pub gpu_seconds: GpuSeconds,
    /// Time of the first line.
    pub first: Timestamp,
    /// Time of the last line.
    pub last: Timestamp,
    /// Longest time between two lines.
    pub longest_gap: Duration,
    /// Where it begins.
    pub longest_gap_from: Timestamp,
    /// Median of the times between two lines, in whole seconds: about the attestors' interval. None without a report.
    pub usual_gap: Option<Duration>,
    /// What NVML said of each GPU, over all reports; empty where NVML was never visible.
    pub gpu_samples: Vec<GpuSummary>,
    /// The vouchers that were wanted, oldest first.
    pub vouchers: Vec<Vouched>,
    /// What is odd about it though every line is signed and in order.
    pub findings: Vec<Finding>,
}

impl Summary {
    /// GPU-seconds that the evidence with this root vouches for; `None`: the root is not in this evidence, or was not wanted.
    pub fn vouched(&self, root: EvidenceRoot) -> Option<GpuSeconds> {
        self.vouchers.iter().find(|v| v.evidence_root == root).map(|v| v.gpu_seconds)
    }
}

/// A voucher of the evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Vouched {
    /// Cumulative use.
    pub gpu_seconds: GpuSeconds,
    /// The root that `UsageClaimed` logs for it.
    pub evidence_root: EvidenceRoot,
    /// Who signed it.
    pub attestor: Address,
    /// Time of its line.
    pub time: Timestamp,
}

/// One attestor's part.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SegmentSummary {
    /// The attestor.
    pub attestor: Address,
    /// The GPUs of its pod.
    pub gpu_uuids: Vec<String>,
    /// Where its count began.
    pub base_gpu_seconds: GpuSeconds,
    /// Where its count ended.
    pub gpu_seconds: GpuSeconds,
    /// When its header was made.
    pub time: Timestamp,
    /// When its count began, as its first report with a begin says.
    pub began_at: Option<Timestamp>,
    /// Time of its last line.
    pub last: Timestamp,
    /// Root after its last line.
    pub evidence_root: EvidenceRoot,
    /// Its reports.
    pub reports: u64,
    /// Whether it could sample the GPUs.
    pub nvml: Nvml,
    /// The GPUs' driver.
    pub driver_version: Option<String>,
    /// Whether its last report is there.
    pub finished: bool,
}

/// What NVML said of one GPU.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GpuSummary {
    /// `nvmlDeviceGetUUID`
    pub uuid: String,
    /// `nvmlDeviceGetName`
    pub name: Option<String>,
    /// Reports that sampled it.
    pub samples: u64,
    /// Reports in which NVML gave an error for it.
    pub errors: u64,
    /// Part of time in which a kernel ran.
    pub utilization_gpu_percent: Option<Spread>,
    /// Memory in use.
    pub memory_used_bytes: Option<Spread>,
    /// Power drawn.
    pub power_milliwatts: Option<Spread>,
}

/// Least, mean and greatest of a value over all reports.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Spread {
    /// Least.
    pub min: u64,
    /// Mean.
    pub mean: f64,
    /// Greatest.
    pub max: u64,
    #[serde(skip)]
    count: u32,
}

impl Spread {
    fn with(this: Option<Self>, value: Option<u64>) -> Option<Self> {
        let Some(value) = value else { return this };
        // Exact up to 2^53: bytes of memory and milliwatts stay far below.
        #[allow(clippy::cast_precision_loss, reason = "values are below 2^53")]
        let exact = value as f64;
        Some(match this {
            None => Self { min: value, mean: exact, max: value, count: 1 },
            Some(Self { min, mean, max, count }) => {
                let count = count.saturating_add(1);
                Self { min: min.min(value), mean: mean + (exact - mean) / f64::from(count), max: max.max(value), count }
            }
        })
    }
}

impl SegmentSummary {
    pub(crate) fn new(header: &Header) -> Self {
        Self {
            attestor: header.attestor,
            gpu_uuids: header.gpu_uuids.clone(),
            base_gpu_seconds: header.base_gpu_seconds,
            gpu_seconds: header.base_gpu_seconds,
            time: header.time,
            began_at: None,
            last: header.time,
            evidence_root: EvidenceRoot::EMPTY,
            reports: 0,
            nvml: header.nvml,
            driver_version: header.driver_version.clone(),
            finished: false,
        }
    }
}

impl Summary {
    pub(crate) fn new(header: &Header) -> Self {
        Self {
            version: header.version,
            tier: header.tier,
            job_id: header.job_id,
            market: header.market(),
            gpus: header.gpus,
            segments: Vec::new(),
            reports: 0,
            gpu_seconds: header.base_gpu_seconds,
            first: header.time,
            last: header.time,
            longest_gap: Duration::ZERO,
            longest_gap_from: header.time,
            usual_gap: None,
            gpu_samples: Vec::new(),
            vouchers: Vec::new(),
            findings: Vec::new(),
        }
    }

    pub(crate) fn begin_segment(&mut self, header: &Header) {
        self.segments.push(SegmentSummary::new(header));
    }

    /// Takes over where a chain stands after one more line.
    pub(crate) fn note(&mut self, chain: &EvidenceChain, keep: bool) {
        let (voucher, time) = (chain.voucher(), chain.time());
        self.add_time(time);
        self.gpu_seconds = voucher.gpu_seconds;
        if keep {
            self.vouchers.push(Vouched {
                gpu_seconds: voucher.gpu_seconds,
                evidence_root: voucher.evidence_root,
                attestor: chain.header().attestor,
                time,
            });
        }
        if let Some(segment) = self.segments.last_mut() {
            segment.gpu_seconds = voucher.gpu_seconds;
            segment.evidence_root = voucher.evidence_root;
            segment.last = time;
            segment.finished = chain.finished();
        }
    }

    pub(crate) fn add_report(&mut self, line: usize, before: Timestamp, header: &Header, report: &Report) {
        self.reports += 1;
        let mut found = finding::in_report(header, before, report);
        if let Some(segment) = self.segments.last_mut() {
            segment.reports += 1;
            match (segment.began_at, report.began_at) {
                (None, began) => segment.began_at = began,
                (had, began) if had != began => {
                    let say =
                        |time: Option<Timestamp>| time.map_or_else(|| "nothing".to_owned(), |time| time.to_string());
                    let what = format!("the begin of its count moved from {} to {}", say(had), say(began));
                    found.push((FindingKind::BeginMoved, what));
                }
                _ => {}
            }
        }
        found.extend(self.add_samples(report).map(|what| (FindingKind::Renamed, what)));
        for (kind, what) in found {
            finding::add(&mut self.findings, header.attestor, kind, line, what);
        }
    }

    fn add_time(&mut self, time: Timestamp) {
        let gap = Duration::try_from(time.duration_since(self.last)).unwrap_or_default();
        if gap > self.longest_gap {
            (self.longest_gap, self.longest_gap_from) = (gap, self.last);
        }
        self.last = self.last.max(time);
    }

    /// Adds up a report's samples; a GPU that has another name now.
    fn add_samples(&mut self, report: &Report) -> Option<String> {
        let mut renamed = None;
        for sample in &report.gpus {
            let at = self.gpu_samples.iter().position(|gpu| gpu.uuid == sample.uuid).unwrap_or_else(|| {
                self.gpu_samples.push(GpuSummary {
                    uuid: sample.uuid.clone(),
                    name: None,
                    samples: 0,
                    errors: 0,
                    utilization_gpu_percent: None,
                    memory_used_bytes: None,
                    power_milliwatts: None,
                });
                self.gpu_samples.len() - 1
            });
            let gpu = &mut self.gpu_samples[at];
            gpu.samples += 1;
            gpu.errors += u64::from(sample.error.is_some());
            match (&gpu.name, &sample.name) {
                (None, name) => gpu.name.clone_from(name),
                (Some(had), Some(now)) if had != now => {
                    renamed = Some(format!("GPU {} is named {had} at first, and {now} later", sample.uuid));
                }
                _ => {}
            }
            gpu.utilization_gpu_percent =
                Spread::with(gpu.utilization_gpu_percent, sample.utilization_gpu_percent.map(u64::from));
            gpu.memory_used_bytes = Spread::with(gpu.memory_used_bytes, sample.memory_used_bytes);
            gpu.power_milliwatts = Spread::with(gpu.power_milliwatts, sample.power_milliwatts.map(u64::from));
        }
        renamed
    }
}
