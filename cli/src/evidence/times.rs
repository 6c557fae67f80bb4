//! The evidence's times against the chain's: the attestor writes what it likes, the chain's clock it can't set.

use std::time::Duration;

use hawser_attestation::{FindingKind, Summary};
use hawser_market::{GpuSeconds, JobStatus, text::time};
use jiff::Timestamp;

use crate::chain::Record;

/// How far a node's clock may be from the chain's.
const SKEW: Duration = Duration::from_mins(1);
/// Meters report each second at most, and each five minutes at least.
const INTERVALS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(5));
/// This many intervals without a report are a gap.
const GAP: u32 = 3;

/// What can't have been so.
pub(super) fn problems(evidence: &Summary, chain: &Record) -> Vec<String> {
    let mut problems = Vec::new();
    for segment in &evidence.segments {
        let Some(named) = chain.attestors.iter().find(|named| named.attestor == segment.attestor) else { continue };
        if after(at(named.at), segment.time) > SKEW {
            problems.push(format!(
                "the evidence of attestor {} begins at {}, before the chain named it at {}",
                segment.attestor,
                segment.time,
                time(named.at)
            ));
        }
    }
    for claim in &chain.claims {
        let vouched = evidence.vouchers.iter().find(|vouched| vouched.evidence_root.0 == claim.root);
        if let Some(vouched) = vouched.filter(|vouched| after(vouched.time, at(claim.at)) > SKEW) {
            problems.push(format!(
                "the claim of {} GPU-seconds was made at {} on a report that says it was made at {}",
                claim.used,
                time(claim.at),
                vouched.time
            ));
        }
    }
    if after(evidence.last, at(chain.latest)) > SKEW {
        problems.push(format!("its last report is of {}, and it is {} now", evidence.last, time(chain.latest)));
    }
    let counted = evidence.vouchers.iter().map(|vouched| (vouched.gpu_seconds, vouched.time));
    let mut counted = counted.chain(evidence.segments.iter().map(|segment| (segment.gpu_seconds, segment.last)));
    let too_much = counted.find_map(|(count, when)| {
        let most = GpuSeconds::elapsed(chain.gpus, after(when, at(chain.started)).saturating_add(SKEW));
        (count > most).then(|| {
            format!(
                "it counts {count} GPU-seconds at {when}; from the start at {} there are at most {most} on {} GPUs",
                time(chain.started),
                chain.gpus
            )
        })
    });
    problems.extend(too_much);
    problems
}

/// What of its begin an attestor contradicts itself about.
pub(super) fn contradictions(evidence: &Summary) -> Vec<String> {
    let of_begin = |kind| matches!(kind, FindingKind::Begin | FindingKind::BeginMoved);
    super::judge::findings(evidence, of_begin)
}

/// Silences: of what was or wasn't run meanwhile nothing is known.
pub(super) fn silences(evidence: &Summary) -> Vec<String> {
    let limit = limit(evidence);
    if evidence.longest_gap <= limit {
        return Vec::new();
    }
    let (gap, limit) = (evidence.longest_gap.as_secs(), limit.as_secs());
    let from = evidence.longest_gap_from;
    vec![format!("there is no report for {gap} s from {from} on, where one was due after {} s", limit / u64::from(GAP))]
}

/// A running job of which nothing was heard lately, a job that is over without its attestor's last report.
pub(super) fn ends(evidence: &Summary, chain: &Record) -> Vec<String> {
    let silent = after(at(chain.now), evidence.last);
    if chain.status == JobStatus::Running {
        let long = silent > limit(evidence).saturating_add(SKEW);
        let say = || format!("the job runs, and its last report is {} s old, of {}", silent.as_secs(), evidence.last);
        return long.then(say).into_iter().collect();
    }
    let open = evidence.segments.last().filter(|segment| !segment.finished);
    let say = |attestor| format!("the job is over, and the last report of attestor {attestor} is not there");
    open.map(|segment| say(segment.attestor)).into_iter().collect()
}

/// From which length on a silence is a gap.
fn limit(evidence: &Summary) -> Duration {
    evidence.usual_gap.map_or(INTERVALS.1, |usual| usual.clamp(INTERVALS.0, INTERVALS.1)) * GAP
}

fn at(second: u64) -> Timestamp {
    i64::try_from(second).ok().and_then(|second| Timestamp::from_second(second).ok()).unwrap_or(Timestamp::MAX)
}

/// How long one time is after another; zero where it is before.
fn after(later: Timestamp, earlier: Timestamp) -> Duration {
    Duration::try_from(later.duration_since(earlier)).unwrap_or_default()
}
