//! What a job's status says of its use and of its money. Pure.

use hawser_crds::{ComputeJobStatus, Phase, SettlementStatus, Usage};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::observation::JobObservation;
use super::voucher::{self, Vouchers};
use crate::attestation::Attested;
use crate::network::{Job, JobStatus, Units};

/// The newest voucher is written so often while nothing else changes, in seconds.
const VOUCHER_EVERY: i64 = 300;

/// Counts and voucher are written when something else changes and every few minutes, not at each report.
pub(super) fn usage(seen: &JobObservation, stored: &ComputeJobStatus, phase: Phase) -> Option<Usage> {
    if seen.attested.is_empty() {
        return stored.usage.clone();
    }
    let old = stored.usage.clone().unwrap_or_default();
    let vouchers = Vouchers::of(seen);
    let accepted: u64 = seen.attested.iter().map(|attested| attested.accepted).sum();
    let rejected = seen.rejection().map_or(0, |rejection| rejection.times);
    let last_rejection = seen.rejection().map(|rejection| rejection.refusal.to_string());
    // As precise as it is stored: otherwise no stored status would ever be like the next one.
    let last_report = seen.attested.iter().filter_map(|attested| attested.last_report).max();
    let last_report = last_report.and_then(|at| Timestamp::from_second(at.as_second()).ok());
    let last_report = last_report.or_else(|| old.last_report.as_ref().map(|t| t.0));
    let card_shared = seen.heard.as_ref().and_then(|heard| heard.card_shared.clone());
    let due = phase != stored.phase
        || matches!(phase, Phase::Settling | Phase::Succeeded | Phase::Failed | Phase::Declined)
        || old.voucher.is_none()
        || old.last_rejection != last_rejection && last_rejection.is_some()
        || old.card_shared.is_none() && card_shared.is_some()
        || is_old(old.last_report.as_ref().map(|t| t.0), last_report);
    if !due {
        return Some(old);
    }
    let signer = |attested: &Attested| attested.voucher_attestor.unwrap_or(attested.attestor).to_checksum(None);
    let evidence = seen.attested.iter().map(|attested| &attested.evidence_url).find(|url| !url.is_empty());
    Some(Usage {
        gpu_seconds: if vouchers.is_empty() { old.gpu_seconds } else { vouchers.counted() },
        vouchers_accepted: accepted.max(old.vouchers_accepted),
        vouchers_rejected: rejected.max(old.vouchers_rejected),
        last_rejection: last_rejection.or(old.last_rejection),
        last_report: last_report.map(Time),
        // There is a place for the leader's alone.
        voucher: match (vouchers.leader, old.voucher) {
            (Some(v), Some(kept))
                if v.gpu_seconds.0 == kept.gpu_seconds && v.signature.to_string() == kept.signature =>
            {
                Some(kept)
            }
            (Some(v), kept) => seen.leader().map(|leader| voucher::record(&v, signer(leader))).or(kept),
            (None, kept) => kept,
        },
        evidence: evidence.cloned().or(old.evidence),
        card_shared: card_shared.or(old.card_shared),
    })
}

fn is_old(stored: Option<Timestamp>, newest: Option<Timestamp>) -> bool {
    match (stored, newest) {
        (Some(stored), Some(newest)) => newest.as_second() - stored.as_second() >= VOUCHER_EVERY,
        (None, newest) => newest.is_some(),
        (Some(_), None) => false,
    }
}

/// By the GPU-seconds of the status, which do not change with each report: those that can be claimed, where not all can.
pub(super) fn settlement(
    seen: &JobObservation,
    stored: &ComputeJobStatus,
    usage: Option<&Usage>,
) -> Option<SettlementStatus> {
    let source = seen.job.spec.source.as_ref()?;
    let Some(job) = seen.chain_job().filter(|job| job.status != JobStatus::None) else {
        return stored.settlement.clone();
    };
    let old = stored.settlement.clone().unwrap_or_default();
    let deposited = deposited(&source.deposit, old.deposited.as_deref(), job);
    let claimable = usage.map_or(0, |usage| usage.voucher.as_ref().map_or(usage.gpu_seconds, |kept| kept.gpu_seconds));
    let unclaimed = (job.status != JobStatus::Closed).then(|| unclaimed(job, claimable));
    let whole = |units: Units| Some(seen.token.as_ref()?.format_units(units));
    Some(SettlementStatus {
        claimed_gpu_seconds: job.used.0,
        paid: Some(job.paid.to_string()),
        unclaimed: unclaimed.map(|units| units.to_string()),
        claimed: whole(job.paid),
        pending: unclaimed.and_then(whole),
        claimable_until: job.refundable_from.map(Time),
        paid_until: job.end.map(Time).or(old.paid_until),
        refunded: (job.status == JobStatus::Closed).then(|| deposited.saturating_sub(job.paid).to_string()),
        deposited: Some(deposited.to_string()),
        tx: seen.tx.clone().or(old.tx),
    })
}

/// Token units that a claim of everything attested that can be claimed would bring.
fn unclaimed(job: &Job, claimable: u64) -> Units {
    job.pays(claimable).min(job.deposit).saturating_sub(job.paid)
}

/// Everything that the customer has deposited: the order and each top-up. A shortened job's deposit is smaller again,
/// but what was given back counts as deposited.
fn deposited(order: &str, stored: Option<&str>, job: &Job) -> Units {
    let number = |text: &str| text.parse::<Units>().unwrap_or_default();
    let live = if job.status == JobStatus::Closed { Units::ZERO } else { job.deposit };
    [number(order), stored.map(number).unwrap_or_default(), live].into_iter().max().unwrap_or_default()
}
