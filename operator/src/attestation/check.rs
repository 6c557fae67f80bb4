//! Whether a report counts. Pure: the facts, the evidence so far, the report and the time in; a longer evidence or a
//! refusal out.

use std::time::Duration;

use hawser_attestation::{
    Attestor, ChainError, Digest, EvidenceChain, EvidenceRoot, Header, Line, MarketId, SignedVoucher, TOLERANCE,
    VoucherSignature,
};
use hawser_market::GpuSeconds;
use hawser_proto::attestation::{RejectReason, Report};
use jiff::Timestamp;

use super::{expected::ExpectedMeter, refusal::Refusal};

/// How far a count may go beyond the end of the customer's container: kubelet tells whole seconds, looks once a second
/// and ends meter after that.
const END_TOLERANCE: Duration = Duration::from_secs(4);

/// So long after the end of the customer's container a last voucher that is too high may still come into bounds: where
/// the node's clock is ahead, so is kubelet's word of that end.
const LAST_VOUCHER_WITHIN: Duration = Duration::from_mins(1);
/// What a clock is believed to be wrong by, where it alone would explain a count that is too high.
const FARTHEST_CLOCK: Duration = Duration::from_hours(1);

/// A report that counts: the evidence with it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Checked {
    pub(super) chain: EvidenceChain,
    pub(super) line: Line,
}

/// Checks a report of the attestor that enrolled on this stream. `stored` is the evidence up to now.
pub(super) fn check_report(
    expected: &ExpectedMeter,
    attestor: Attestor,
    gpu_uuids: &[String],
    stored: Option<&EvidenceChain>,
    report: &Report,
    now: Timestamp,
) -> Result<Checked, Refusal> {
    check_started(expected, attestor)?;
    let voucher = check_signature(expected, attestor, report)?;
    let next = stored.map_or(0, EvidenceChain::next_sequence);
    if report.sequence < next {
        let message = format!("line {} is stored already, the next one is {next}", report.sequence);
        return Err(Refusal::new(RejectReason::Stale, message));
    }
    if report.sequence > next {
        let message = format!("line {} came, the next one is {next}: lines are missing", report.sequence);
        return Err(Refusal::new(RejectReason::BrokenChain, message));
    }
    let root = stored.map_or(EvidenceRoot::EMPTY, EvidenceChain::root).then(&report.body);
    if root != voucher.evidence_root {
        let message = format!("line {next} leads to root {root}, the report says {}", voucher.evidence_root);
        return Err(Refusal::new(RejectReason::BrokenChain, message));
    }
    let had = stored.map_or(GpuSeconds::ZERO, EvidenceChain::gpu_seconds);
    if voucher.gpu_seconds < had {
        let message = format!("{} GPU-seconds after {had}: use is cumulative", voucher.gpu_seconds);
        return Err(Refusal::new(RejectReason::Stale, message));
    }
    let body = String::from_utf8(report.body.clone())
        .map_err(|_| Refusal::new(RejectReason::BrokenChain, format!("line {next} is not UTF-8 text")))?;
    let line = Line { body, signature: voucher.signature };
    let chain = follow(stored, &line)?;
    if stored.is_none() {
        check_header(expected, attestor, gpu_uuids, chain.header())?;
    }
    check_bound(expected, chain.header().base_gpu_seconds, voucher.gpu_seconds, now)?;
    Ok(Checked { chain, line })
}

/// Checks a voucher that comes without its evidence, out of a termination message.
pub(super) fn check_voucher(
    expected: &ExpectedMeter,
    attestor: Attestor,
    base: GpuSeconds,
    voucher: &SignedVoucher,
    now: Timestamp,
) -> Result<(), Refusal> {
    check_started(expected, attestor)?;
    if voucher.job != expected.id {
        let message = format!("the voucher is for job {}, this is {}", voucher.job, expected.id);
        return Err(Refusal::new(RejectReason::BadSignature, message));
    }
    check_signer(expected, attestor, voucher)?;
    check_bound(expected, base, voucher.gpu_seconds, now)
}

/// The same where a refusal may not be the last word: `OutOfBounds` becomes `Unavailable` until time alone can't mend it.
pub(super) fn check_last_voucher(
    expected: &ExpectedMeter,
    attestor: Attestor,
    base: GpuSeconds,
    voucher: &SignedVoucher,
    now: Timestamp,
) -> Result<(), Refusal> {
    check_voucher(expected, attestor, base, voucher, now).map_err(|refusal| {
        let mends = match expected.ended {
            Some(ended) => now < later(ended, LAST_VOUCHER_WITHIN),
            None => voucher.gpu_seconds <= most(expected, base, later(now, LAST_VOUCHER_WITHIN)),
        };
        if refusal.reason == RejectReason::OutOfBounds && mends {
            return Refusal::new(RejectReason::Unavailable, format!("{}; it is read again", refusal.message));
        }
        refusal
    })
}

/// A line out of a termination message, as the next of the evidence.
pub(super) fn follow(stored: Option<&EvidenceChain>, line: &Line) -> Result<EvidenceChain, Refusal> {
    let followed = match stored {
        None => EvidenceChain::open(line),
        Some(chain) => {
            let mut chain = chain.clone();
            chain.follow(line).map(|_| chain)
        }
    };
    followed.map_err(|error| Refusal::new(reason(&error), error.to_string()))
}

fn reason(error: &ChainError) -> RejectReason {
    match error {
        ChainError::WrongSigner { .. } | ChainError::Signature(_) => RejectReason::BadSignature,
        ChainError::CountBack { .. } | ChainError::TimeBack { .. } | ChainError::AfterLast => RejectReason::Stale,
        ChainError::TooMuch { .. } => RejectReason::OutOfBounds,
        _ => RejectReason::BrokenChain,
    }
}

fn check_started(expected: &ExpectedMeter, attestor: Attestor) -> Result<(), Refusal> {
    let refuse = |message: String| Err(Refusal::new(RejectReason::UnknownJob, message));
    if expected.started.is_none() {
        return refuse(format!("job {} is not started yet", expected.member.job));
    }
    match (expected.attestor, expected.leads) {
        (Some(known), _) if known.is(attestor) => Ok(()),
        (Some(named), true) => refuse(format!("the market names attestor {named}, the report is of {attestor}")),
        (Some(known), false) => {
            refuse(format!("attestor {known} enrolled for pod {}, the report is of {attestor}", expected.member))
        }
        (None, _) => refuse(format!("no attestor has enrolled for pod {} since this operator began", expected.member)),
    }
}

fn check_signature(expected: &ExpectedMeter, attestor: Attestor, report: &Report) -> Result<SignedVoucher, Refusal> {
    let bad = |message: String| Refusal::new(RejectReason::BadSignature, message);
    let evidence_root = Digest::try_from(report.evidence_root.as_slice())
        .map_err(|_| bad(format!("the evidence root has {} bytes, not 32", report.evidence_root.len())))?;
    let voucher = SignedVoucher {
        job: expected.id,
        gpu_seconds: GpuSeconds(report.gpu_seconds),
        evidence_root: EvidenceRoot(evidence_root),
        signature: VoucherSignature::from_bytes(&report.signature).map_err(|error| bad(error.to_string()))?,
    };
    check_signer(expected, attestor, &voucher)?;
    Ok(voucher)
}

fn check_signer(expected: &ExpectedMeter, attestor: Attestor, voucher: &SignedVoucher) -> Result<(), Refusal> {
    let bad = |message: String| Refusal::new(RejectReason::BadSignature, message);
    let signer = voucher.attestor(expected.market).map_err(|error| bad(error.to_string()))?;
    if signer == attestor {
        return Ok(());
    }
    Err(bad(format!(
        "the voucher over {} GPU-seconds is signed by {signer}, the attestor is {attestor}",
        voucher.gpu_seconds
    )))
}

fn check_header(
    expected: &ExpectedMeter,
    attestor: Attestor,
    gpu_uuids: &[String],
    header: &Header,
) -> Result<(), Refusal> {
    let wrong = |what: &str, found: String, wanted: String| {
        let message = format!("the header's {what} is {found}, it should be {wanted}");
        Err(Refusal::new(RejectReason::BrokenChain, message))
    };
    if header.job_id != expected.id {
        return wrong("jobId", header.job_id.to_string(), expected.id.to_string());
    }
    if header.market() != expected.market {
        let words = |market: MarketId| format!("{} of chain {}", market.address, market.chain_id);
        return wrong("market", words(header.market()), words(expected.market));
    }
    if header.attestor != attestor {
        return wrong("attestor", header.attestor.to_string(), attestor.to_string());
    }
    if header.gpus != expected.gpus {
        return wrong("gpus", header.gpus.to_string(), expected.gpus.to_string());
    }
    if header.gpu_uuids != gpu_uuids {
        return wrong("gpuUuids", header.gpu_uuids.join(", "), gpu_uuids.join(", "));
    }
    if header.base_gpu_seconds > expected.base_gpu_seconds {
        return wrong("baseGpuSeconds", header.base_gpu_seconds.to_string(), expected.base_gpu_seconds.to_string());
    }
    Ok(())
}

fn check_bound(expected: &ExpectedMeter, base: GpuSeconds, count: GpuSeconds, now: Timestamp) -> Result<(), Refusal> {
    let most = most(expected, base, now);
    if count <= most {
        return Ok(());
    }
    let ran = match (expected.begin, expected.ended) {
        (None, _) => "its count has not begun".to_owned(),
        (Some(begin), None) => format!("it began at {begin}"),
        (Some(begin), Some(end)) => format!("it ran from {begin} to {end}"),
    };
    let clock = match clock_ahead(expected, base, count, now) {
        Some(seconds) => format!("the node's clock is {seconds} s ahead of the operator's, or the count is wrong"),
        None => "are the nodes' clocks right?".to_owned(),
    };
    let message =
        format!("{count} GPU-seconds are more than {most}: {base} before, {} GPUs, and {ran} ({clock})", expected.gpus);
    Err(Refusal::new(RejectReason::OutOfBounds, message))
}

/// By how many seconds the node's clock is ahead of the operator's, if that explains a count that is too high.
fn clock_ahead(expected: &ExpectedMeter, base: GpuSeconds, count: GpuSeconds, now: Timestamp) -> Option<u64> {
    let until = match expected.ended {
        None => later(now, FARTHEST_CLOCK),
        // Kubelet says an end that the operator's clock has not reached.
        Some(ended) if ended >= now => later(ended, Duration::from_secs(1)),
        Some(_) => return None,
    };
    if expected.begin.is_none() || count > most(expected, base, until) {
        return None;
    }
    let excess = count.0.saturating_sub(most(expected, base, now).0);
    Some(excess.div_ceil(u64::from(expected.gpus).max(1)) + TOLERANCE.as_secs())
}

fn later(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// Most GPU-seconds that can have been used: what was vouched for before, and running time times GPUs.
fn most(expected: &ExpectedMeter, base: GpuSeconds, now: Timestamp) -> GpuSeconds {
    let Some(begin) = expected.begin else { return base };
    let (end, tolerance) = match expected.ended {
        Some(ended) if ended < now => (ended, END_TOLERANCE),
        _ => (now, TOLERANCE),
    };
    let ran = Duration::try_from(end.duration_since(begin)).unwrap_or_default();
    // A container that ran past its own end by less than the tolerance, or until now, whichever is less.
    let ran = ran.saturating_add(tolerance);
    base.saturating_add(GpuSeconds::elapsed(expected.gpus, ran))
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
