//! A job as a network holds it.

use hawser_market::{AttestorTail, GpuSeconds, JobStatus};
use jiff::Timestamp;

use super::{JobId, Units};

const SECONDS_PER_HOUR: u64 = 3600;

/// A job as the network holds it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its name.
    pub id: JobId,
    /// Where it stands.
    pub status: JobStatus,
    /// Whose vouchers count; none before the start.
    pub attestor: Option<AttestorTail>,
    /// GPUs ordered.
    pub gpus: u16,
    /// Token units per GPU-hour at which it was ordered.
    pub price: u128,
    /// Seconds paid for, as topped up or shortened; 0 once closed.
    pub duration_seconds: u32,
    /// Last second at which it can be started; none once it was.
    pub start_deadline: Option<Timestamp>,
    /// When it was started.
    pub started: Option<Timestamp>,
    /// When it ends: `started + duration`; none before the start and once closed.
    pub end: Option<Timestamp>,
    /// An end earlier than the paid one was announced.
    pub ending: bool,
    /// From here on anybody can close it, and what was not claimed is lost to the provider; none once closed.
    pub refundable_from: Option<Timestamp>,
    /// Claimed so far.
    pub used: GpuSeconds,
    /// Token units for the whole duration; once closed, what was paid.
    pub deposit: Units,
    /// Token units claimed so far, fee included.
    pub paid: Units,
}

impl Job {
    /// Whether vouchers of this attestor count.
    pub fn is_attestor(&self, account: hawser_attestation::Attestor) -> bool {
        self.attestor.is_some_and(|attestor| attestor.is(account))
    }

    /// Token units paid, fee included, once so many GPU-seconds were claimed: rounded down.
    pub fn pays(&self, gpu_seconds: u64) -> Units {
        Units::from(self.price) * Units::from(gpu_seconds) / Units::from(SECONDS_PER_HOUR)
    }

    /// Most that the network pays for at a time: GPUs times the running time, up to the end.
    pub fn bound(&self, now: Timestamp) -> GpuSeconds {
        let Some(started) = self.started else { return GpuSeconds::ZERO };
        let until = self.end.map_or(now, |end| now.min(end));
        let seconds = u64::try_from(until.as_second() - started.as_second()).unwrap_or(0);
        GpuSeconds(seconds.saturating_mul(u64::from(self.gpus)))
    }
}
