//! A lease, and what it is closed with.

use hawser_attestation::SignedVoucher;
use hawser_market::AttestorTail;
use hawser_operator::network::{GpuSeconds, Job, JobStatus, Order, Subject, Units};
use jiff::{SignedDuration, Timestamp};

/// So long after its end a lease can be closed with pay.
const CLAIMS: SignedDuration = SignedDuration::from_mins(30);

/// GPUs that somebody has paid for.
pub(super) struct Lease {
    pub(super) order: Order,
    pub(super) placed: Timestamp,
    /// So long the hub waits for a start.
    pub(super) patience: SignedDuration,
    pub(super) started: Option<(Timestamp, AttestorTail)>,
    /// GPU-seconds and units that it was closed with.
    pub(super) closed: Option<(GpuSeconds, Units)>,
}

impl Lease {
    /// As the operator sees it.
    pub(super) fn job(&self) -> Job {
        let (order, open) = (&self.order, self.closed.is_none());
        let started = self.started.map(|(at, _)| at);
        let end = started.map(|at| at + SignedDuration::from_secs(order.duration_seconds.into())).filter(|_| open);
        let (used, paid) = self.closed.unwrap_or_default();
        Job {
            id: order.job.clone(),
            status: match (&self.closed, end) {
                (Some(_), _) => JobStatus::Closed,
                (None, None) => JobStatus::Open,
                (None, Some(end)) if end <= Timestamp::now() => JobStatus::Ended,
                (None, Some(_)) => JobStatus::Running,
            },
            attestor: self.started.map(|(_, attestor)| attestor),
            gpus: order.gpus,
            price: order.price,
            duration_seconds: if open { order.duration_seconds } else { 0 },
            start_deadline: started.is_none().then(|| self.placed + self.patience),
            started,
            end,
            ending: false,
            refundable_from: end.map(|end| end + CLAIMS),
            used,
            deposit: if open { order.deposit } else { paid },
            paid,
        }
    }
}

/// What a lease is closed with: what its attestor has signed for, up to what can have been used.
pub(super) fn counted(lease: &Lease, voucher: &SignedVoucher, subject: Subject) -> Result<GpuSeconds, String> {
    let signer = voucher.attestor(subject.market).map_err(|error| error.to_string())?;
    let job = lease.job();
    if voucher.job != subject.id || !job.is_attestor(signer) {
        return Err("the voucher is not of the lease's attestor".to_owned());
    }
    Ok(voucher.gpu_seconds.min(job.bound(Timestamp::now())))
}
