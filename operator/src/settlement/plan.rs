//! What a job's money needs next. Pure: looks at the job on chain and at the newest voucher, keeps nothing.

use std::time::Duration;

use alloy::primitives::U256;
use jiff::{SignedDuration, Timestamp};

use crate::network::{ChainJob, GpuSeconds, JobStatus};

/// When claims are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// A running job is claimed once so much running time is attested and not claimed: the most that is at risk.
    pub interval: Duration,
}

impl From<&hawser_crds::Settlement> for Policy {
    fn from(settlement: &hawser_crds::Settlement) -> Self {
        Self { interval: Duration::from_secs(settlement.interval_seconds) }
    }
}

/// Why a claim is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Due {
    /// An interval's worth of use is unclaimed.
    Interval,
    /// The job is over.
    Over,
    /// The claim window closes; what isn't claimed by then is lost.
    WindowCloses,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing now.
    Wait,
    /// Claim the newest voucher.
    Claim(Due),
    /// Everything is claimed and the job is over: close it, so that the customer gets the rest at once.
    End {
        /// What must have been claimed.
        expect_used: GpuSeconds,
    },
    /// Not started and over: decline it, so that the customer gets everything back at once.
    Decline,
    /// The provider can do nothing more for it, but anybody can close it for the customer.
    Refund,
    /// The market holds nothing of it any more, or never did.
    Done,
}

/// A share of the claim window before its end in which a claim is made whatever else holds: an eighth.
const LAST_SHARE: i32 = 8;

/// Decides the next step of one job.
///
/// `attested` is the newest voucher's count (0 without one), `over` whether the job has ended in the cluster for good
/// and no newer voucher will come, `now` the chain's time.
pub fn next(job: &ChainJob, attested: GpuSeconds, over: bool, now: Timestamp, policy: Policy) -> Step {
    match job.status {
        JobStatus::None | JobStatus::Closed => Step::Done,
        JobStatus::Open if now > job.start_deadline => Step::Refund,
        JobStatus::Open if over => Step::Decline,
        JobStatus::Open => Step::Wait,
        JobStatus::Running | JobStatus::Ended => started(job, attested, over, now, policy),
    }
}

fn started(job: &ChainJob, attested: GpuSeconds, over: bool, now: Timestamp, policy: Policy) -> Step {
    if job.refundable_from.is_some_and(|from| now >= from) {
        return Step::Refund;
    }
    // What the market would pay for now: a voucher beyond it is cut, and a claim of nothing is skipped.
    let payable = attested.min(bound(job, now));
    let unclaimed = payable.0.saturating_sub(job.used.0);
    if unclaimed > 0 && window_closes(job, now) {
        return Step::Claim(Due::WindowCloses);
    }
    if !over {
        let interval = policy.interval.as_secs().saturating_mul(u64::from(job.id.gpus()));
        return if unclaimed > 0 && unclaimed >= interval { Step::Claim(Due::Interval) } else { Step::Wait };
    }
    if attested > payable && job.status == JobStatus::Running {
        // The voucher's last seconds lie ahead of the chain's clock: in a moment one claim pays all of it.
        return Step::Wait;
    }
    if unclaimed > 0 {
        return Step::Claim(Due::Over);
    }
    Step::End { expect_used: payable }
}

/// Most that the market pays for at a time: GPUs times the running time, up to the end.
pub fn bound(job: &ChainJob, now: Timestamp) -> GpuSeconds {
    let Some(started) = job.started else { return GpuSeconds(0) };
    let until = job.end.map_or(now, |end| now.min(end));
    let seconds = u64::try_from(until.as_second() - started.as_second()).unwrap_or(0);
    GpuSeconds(seconds.saturating_mul(u64::from(job.id.gpus())))
}

fn window_closes(job: &ChainJob, now: Timestamp) -> bool {
    let (Some(end), Some(from)) = (job.end, job.refundable_from) else { return false };
    let window = from.duration_since(end).max(SignedDuration::ZERO);
    now.duration_since(end) >= window - window / LAST_SHARE
}

/// Attested use that is not claimed yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AtRisk {
    /// Use, over all jobs.
    pub gpu_seconds: GpuSeconds,
    /// Token units that it is worth; add up only jobs of one token.
    pub tokens: U256,
    /// When the first of it is lost.
    pub first_lost: Option<Timestamp>,
}

/// Sums up what would be lost if nothing were claimed any more.
pub fn at_risk<'a>(jobs: impl IntoIterator<Item = (&'a ChainJob, GpuSeconds)>) -> AtRisk {
    jobs.into_iter().fold(AtRisk::default(), |sum, (job, attested)| {
        let live = matches!(job.status, JobStatus::Running | JobStatus::Ended);
        if !live || attested <= job.used {
            return sum;
        }
        AtRisk {
            gpu_seconds: GpuSeconds(sum.gpu_seconds.0.saturating_add(attested.0 - job.used.0)),
            tokens: sum.tokens.saturating_add(job.id.paid(attested.0).saturating_sub(job.id.paid(job.used.0))),
            first_lost: [sum.first_lost, job.refundable_from].into_iter().flatten().min(),
        }
    })
}

#[cfg(test)]
mod tests {
    use alloy::primitives::{Address, FixedBytes};
    use hawser_contracts::{JobId, OfferId};

    use super::*;

    const POLICY: Policy = Policy { interval: Duration::from_mins(10) };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    /// 2 GPUs, ordered for 3600 s, startable until 100, started at 50, claims until 800 s after the end.
    fn job(status: JobStatus, used: u64) -> ChainJob {
        let started = matches!(status, JobStatus::Running | JobStatus::Ended);
        ChainJob {
            id: JobId::from_parts(OfferId(FixedBytes::ZERO), 3600, 2, FixedBytes::ZERO).unwrap(),
            status,
            customer: Address::ZERO,
            attestor: started.then_some(Address::repeat_byte(1)),
            duration_seconds: 3600,
            start_deadline: at(100),
            started: started.then_some(at(50)),
            end: started.then_some(at(3650)),
            ending: false,
            refundable_from: started.then_some(at(4450)),
            used: GpuSeconds(used),
            deposit: U256::from(7200),
            paid: U256::from(used),
        }
    }

    #[test]
    fn the_next_step_follows_from_chain_voucher_and_time() {
        use JobStatus::{Closed, Ended, None, Open, Running};
        let end = |used| Step::End { expect_used: GpuSeconds(used) };
        let cases = [
            // status, used, attested, over, now, expected
            (None, 0, 0, true, 60, Step::Done, "never ordered"),
            (Closed, 10, 20, true, 60, Step::Done, "closed: a voucher is worth nothing any more"),
            (Open, 0, 0, false, 60, Step::Wait, "about to start"),
            (Open, 0, 0, true, 60, Step::Decline, "failed before its start"),
            (Open, 0, 0, true, 100, Step::Decline, "the deadline's own second still counts"),
            (Open, 0, 0, false, 101, Step::Refund, "start deadline passed"),
            (Running, 0, 0, false, 60, Step::Wait, "no voucher yet"),
            (Running, 0, 1199, false, 900, Step::Wait, "less than an interval's worth"),
            (Running, 0, 1200, false, 900, Step::Claim(Due::Interval), "an interval of two GPUs"),
            (Running, 1200, 2399, false, 1400, Step::Wait, "counts from what was claimed"),
            (Running, 1200, 2400, false, 1400, Step::Claim(Due::Interval), "the second interval"),
            (Running, 0, 5000, false, 100, Step::Wait, "a voucher ahead of the clock is cut to 100 GPU-seconds"),
            (Running, 0, 10, true, 60, Step::Claim(Due::Over), "over with unclaimed use"),
            (Running, 10, 10, true, 60, end(10), "over, all claimed"),
            (Running, 0, 0, true, 60, end(0), "over without any use"),
            (Running, 0, 24, true, 60, Step::Wait, "over, part of it payable: one claim for all of it"),
            (Running, 20, 24, true, 60, Step::Wait, "over, the rest payable when the clock comes there"),
            (Running, 30, 10, true, 100, end(10), "more claimed than known here"),
            (Ended, 0, 10, false, 3700, Step::Wait, "time is up, a newer voucher may come"),
            (Ended, 0, 10, false, 4350, Step::Claim(Due::WindowCloses), "the last eighth of the window"),
            (Ended, 0, 10, true, 4349, Step::Claim(Due::Over), "over, before the last eighth"),
            (Ended, 7200, 7300, true, 3700, end(7200), "all of it was used: a voucher beyond the end is cut"),
            (Ended, 0, 10, true, 4450, Step::Refund, "window closed"),
        ];
        for (status, used, attested, over, now, expected, why) in cases {
            let step = next(&job(status, used), GpuSeconds(attested), over, at(now), POLICY);
            assert_eq!(step, expected, "{why}");
        }
    }

    #[test]
    fn what_is_at_risk_is_summed_over_live_jobs_and_names_the_first_loss() {
        let mut later = job(JobStatus::Running, 100);
        later.refundable_from = Some(at(9000));
        let (running, closed) = (job(JobStatus::Running, 0), job(JobStatus::Closed, 0));
        let claimed = job(JobStatus::Ended, 50);
        let sum = at_risk([
            (&later, GpuSeconds(300)),
            (&running, GpuSeconds(40)),
            (&closed, GpuSeconds(1000)),
            (&claimed, GpuSeconds(50)),
        ]);
        assert_eq!(sum.gpu_seconds, GpuSeconds(240));
        assert_eq!(sum.tokens, U256::from(240));
        assert_eq!(sum.first_lost, Some(at(4450)));
    }
}
