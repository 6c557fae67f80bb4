//! Vouchers between the three places that hold them: the service's memory, the job's status and a claim.

use hawser_attestation::{EvidenceRoot, GpuSeconds, SignedVoucher};
use hawser_contracts::JobId;
use hawser_crds::VoucherRecord;

use super::observed::Observed;
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

/// The newest voucher that is known: from the reports, or from the status after a restart.
pub(crate) fn newest(seen: &Observed) -> Option<SignedVoucher> {
    let reported = seen.attested.as_ref().and_then(|a| a.voucher);
    let stored = stored(seen);
    match (reported, stored) {
        (Some(a), Some(b)) => Some(if b.gpu_seconds > a.gpu_seconds { b } else { a }),
        (a, b) => a.or(b),
    }
}

/// The voucher in the stored status.
pub(crate) fn stored(seen: &Observed) -> Option<SignedVoucher> {
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
