//! A job as a network holds it.

use hawser_market::{AttestorTail, GpuSeconds, JobStatus};
use jiff::Timestamp;

use super::{JobId, Units};

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
        hawser_market::paid(self.price, gpu_seconds)
    }

    /// Most that the network pays for at a time: GPUs times the running time, up to the end.
    pub fn bound(&self, now: Timestamp) -> GpuSeconds {
        hawser_market::most_used(self.gpus, self.started, self.end, now)
    }
}
