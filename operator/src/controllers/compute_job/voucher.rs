//! Vouchers between the three places that hold them: the service's memory, the job's status and a claim. Each member has its
//! own; only the leader's has a place in the status and in a claim (docs/adr/0029).

use hawser_attestation::{EvidenceRoot, SignedVoucher};
use hawser_crds::VoucherRecord;
use hawser_market::{GpuSeconds, JobId};

use super::observation::JobObservation;

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

/// The newest voucher that is known of each member.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Vouchers {
    /// From the leader's reports, or from the status after a restart.
    pub leader: Option<SignedVoucher>,
    /// Those of the other members, with their pods. Nothing but memory, evidence and the pods themselves holds them.
    pub others: Vec<(String, SignedVoucher)>,
}

impl Vouchers {
    pub(crate) fn of(seen: &JobObservation) -> Self {
        let reported = |pod: &str| seen.attested_of(pod)?.voucher;
        let leader = match (seen.pods.leader().and_then(reported), stored(seen)) {
            (Some(a), Some(b)) => Some(if b.gpu_seconds > a.gpu_seconds { b } else { a }),
            (a, b) => a.or(b),
        };
        let others = seen.pods.names().iter().skip(1).filter_map(|pod| Some((pod.clone(), reported(pod)?))).collect();
        Self { leader, others }
    }

    /// GPU-seconds of a job, as they are reported: those of all its members.
    pub(crate) fn counted(&self) -> u64 {
        let all = self.leader.iter().chain(self.others.iter().map(|(_, voucher)| voucher));
        all.fold(0, |sum, voucher| sum.saturating_add(voucher.gpu_seconds.0))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.leader.is_none() && self.others.is_empty()
    }

    /// Whether the status holds what it has a place for.
    pub(crate) fn are_saved(&self, seen: &JobObservation) -> bool {
        self.leader == stored(seen)
    }

    /// How the members' vouchers become a claim. The market takes one attestor's cumulative count of a job, so today the
    /// leader's is claimed and no other.
    pub(crate) fn claimable(&self) -> Claimable<'_> {
        Claimable { voucher: self.leader.as_ref(), not_yet: self.others.iter().map(|(pod, _)| pod.as_str()).collect() }
    }
}

/// What can be claimed of a job's vouchers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Claimable<'a> {
    pub voucher: Option<&'a SignedVoucher>,
    /// Pods of members that have vouched for use that can't be claimed yet.
    pub not_yet: Vec<&'a str>,
}

impl Claimable<'_> {
    pub(crate) fn gpu_seconds(&self) -> GpuSeconds {
        self.voucher.map_or(GpuSeconds::ZERO, |voucher| voucher.gpu_seconds)
    }

    /// What is said of use that is counted and can't be claimed; nothing where all can be.
    pub(crate) fn caveat(&self) -> String {
        if self.not_yet.is_empty() {
            return String::new();
        }
        let pods = self.not_yet.join(", ");
        format!(
            ". The use of {pods} is counted and can't be claimed yet: the market takes vouchers of one attestor a job"
        )
    }
}

/// The voucher in the stored status: the leader's, since it has no place for another's. None while nobody can tell what it
/// was made for.
pub(crate) fn stored(seen: &JobObservation) -> Option<SignedVoucher> {
    let record = seen.job.status.as_ref()?.usage.as_ref()?.voucher.as_ref()?;
    from_record(seen.subject?.id, record)
}
