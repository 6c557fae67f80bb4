//! Evidence as a sidecar makes it.

use alloy::primitives::B256;
use hawser_attestation::{
    Body, EvidenceRoot, GpuSample, Header, Line, MarketId, Nvml, Report, SignedVoucher, Tier, Version,
};
use hawser_market::{GpuSeconds, JobId};
use jiff::{SignedDuration, Timestamp};

use super::Stage;

/// One attestor of a job of two GPUs.
pub(crate) struct Meter<'a> {
    stage: &'a Stage,
    job: JobId,
    root: EvidenceRoot,
    sequence: u64,
    began: Timestamp,
    pub(crate) lines: Vec<String>,
}

impl<'a> Meter<'a> {
    /// Begins its count at this second, as a rule that of the start on chain.
    pub(crate) fn new(stage: &'a Stage, job: JobId, began: u64) -> Self {
        let began = Timestamp::from_second(i64::try_from(began).unwrap()).unwrap();
        let mut meter = Self { stage, job, root: EvidenceRoot::EMPTY, sequence: 0, began, lines: Vec::new() };
        let header = Header {
            version: Version::V1,
            tier: Tier::Metered,
            job_id: job,
            attestor: stage.attestor.address(),
            chain_id: meter.market().chain_id,
            market: meter.market().address,
            gpus: 2,
            gpu_uuids: vec!["GPU-a".to_owned(), "GPU-b".to_owned()],
            base_gpu_seconds: GpuSeconds(0),
            nvml: Nvml::Visible,
            driver_version: Some("580.65".to_owned()),
            sidecar: "0.1.0".to_owned(),
            time: began,
        };
        meter.push(&Body::Header(header), 0);
        meter
    }

    fn market(&self) -> MarketId {
        MarketId { chain_id: self.stage.chain_id, address: *self.stage.market.address() }
    }

    /// Reports full use of both GPUs after this many seconds; the root that a claim of it names.
    pub(crate) fn report(&mut self, second: u32, last: bool) -> B256 {
        let sample = |uuid: &str, percent| GpuSample {
            uuid: uuid.to_owned(),
            name: Some("NVIDIA H100 80GB HBM3".to_owned()),
            utilization_gpu_percent: Some(percent),
            ..GpuSample::default()
        };
        let report = Report {
            sequence: self.sequence,
            previous: self.root,
            time: self.began + SignedDuration::from_secs(i64::from(second)),
            began_at: Some(self.began),
            gpu_seconds: GpuSeconds(u64::from(second) * 2),
            last,
            gpus: vec![sample("GPU-a", 97), sample("GPU-b", 3)],
        };
        self.push(&Body::Report(report), u64::from(second) * 2);
        self.root.0
    }

    fn push(&mut self, body: &Body, gpu_seconds: u64) {
        let body = serde_json::to_string(body).unwrap();
        self.root = self.root.then(body.as_bytes());
        let count = GpuSeconds(gpu_seconds);
        let voucher = SignedVoucher::sign(&self.stage.attestor, self.market(), self.job, count, self.root).unwrap();
        self.lines.push(format!("{}\n", Line { body, signature: voucher.signature }));
        self.sequence += 1;
    }
}
