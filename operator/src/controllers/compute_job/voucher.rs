//! Vouchers between the three places that hold them: the service's memory, the job's status and a claim.

use hawser_attestation::{EvidenceRoot, SignedVoucher};
use hawser_crds::VoucherRecord;
use hawser_market::{GpuSeconds, JobId};

use super::observation::JobObservation;
use crate::network::{self, Claim};

/// A voucher as the status holds it.
pub(crate) fn record(voucher: &SignedVoucher, attestor: impl Into<String>) -> VoucherRecord {
    VoucherRecord {
        gpu_seconds: voucher.gpu_seconds.0,
        evidence_root: voucher.evidence_root.to_string(),
        signature: voucher.signature.to_string(),
        attestor: attestor.into(),
    }
}

/// A voucher from the status; none where somebody wrote nonsense there.
pub(crate) fn from_record(job: JobId, record: &VoucherRecord) -> Option<SignedVoucher> {
    Some(SignedVoucher {
        job,
        gpu_seconds: GpuSeconds(record.gpu_seconds),
        evidence_root: EvidenceRoot(record.evidence_root.parse().ok()?),
        signature: record.signature.parse().ok()?,
    })
}

/// The newest voucher of each member that is known: from the reports, or from the status after a restart, which holds the
/// first member's.
pub(crate) fn newest(seen: &JobObservation) -> Vec<SignedVoucher> {
    let mut reported = seen.attested.iter().map(|attested| attested.voucher);
    let first = match (reported.next().flatten(), stored(seen)) {
        (Some(a), Some(b)) => Some(if b.gpu_seconds > a.gpu_seconds { b } else { a }),
        (a, b) => a.or(b),
    };
    first.into_iter().chain(reported.flatten()).collect()
}

/// GPU-seconds of a job: those of all its members.
pub(crate) fn counted(vouchers: &[SignedVoucher]) -> network::GpuSeconds {
    let sum = vouchers.iter().fold(0_u64, |sum, voucher| sum.saturating_add(voucher.gpu_seconds.0));
    network::GpuSeconds(sum)
}

/// The voucher in the stored status.
pub(crate) fn stored(seen: &JobObservation) -> Option<SignedVoucher> {
    let record = seen.job.status.as_ref()?.usage.as_ref()?.voucher.as_ref()?;
    from_record(seen.id, record)
}

/// As a claim.
pub(crate) fn claim(voucher: &SignedVoucher) -> Claim {
    Claim {
        job: voucher.job,
        gpu_seconds: network::GpuSeconds(voucher.gpu_seconds.0),
        evidence_root: voucher.evidence_root.0,
        signature: voucher.signature.into(),
    }
}
