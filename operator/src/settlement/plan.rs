//! What a job's money needs next. Pure: looks at the job on chain and at the newest voucher, keeps nothing.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::network::{GpuSeconds, Job, JobStatus, Payment, Units};

/// When claims are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// When the network pays.
    pub payment: Payment,
    /// A running job is claimed once so much running time is attested and not claimed: the most that is at risk.
    pub interval: Duration,
    /// Token units that the claim of a running job must bring.
    pub least: Units,
    /// Token units that the fees of a claim come to; zero where that is not known.
    pub claim_cost: Units,
}

/// A running job is not claimed before it brings so many times the cost of the claim's fees. What waits is at risk only
/// of the claim window, and is claimed before that closes.
const COST_TIMES: u64 = 20;

impl Policy {
    /// Whether a running job's claim is worth its fees.
    fn is_worth(&self, brings: Units) -> bool {
        brings >= self.least && brings >= self.claim_cost.saturating_mul(Units::from(COST_TIMES))
    }

    /// Whether a claim closes the job.
    fn pays_once(&self) -> bool {
        self.payment == Payment::OnceAtTheEnd
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
pub fn next(job: &Job, attested: GpuSeconds, over: bool, now: Timestamp, policy: Policy) -> Step {
    match job.status {
        JobStatus::None | JobStatus::Closed => Step::Done,
        JobStatus::Open if job.start_deadline.is_some_and(|deadline| now > deadline) => Step::Refund,
        JobStatus::Open if over => Step::Decline,
        JobStatus::Open => Step::Wait,
        JobStatus::Running | JobStatus::Ended => started(job, attested, over, now, policy),
    }
}

fn started(job: &Job, attested: GpuSeconds, over: bool, now: Timestamp, policy: Policy) -> Step {
    if job.refundable_from.is_some_and(|from| now >= from) {
        return Step::Refund;
    }
    // What the market would pay for now: a voucher beyond it is cut, and a claim of nothing is skipped.
    let payable = attested.min(job.bound(now));
    let unclaimed = payable.0.saturating_sub(job.used.0);
    let is_over = over || job.status == JobStatus::Ended;
    if unclaimed > 0 && window_closes(job, now) && (is_over || !policy.pays_once()) {
        return Step::Claim(Due::WindowCloses);
    }
    if !over && policy.pays_once() {
        // A newer voucher may come, and the one claim is for the last.
        return Step::Wait;
    }
    if !over {
        let interval = policy.interval.as_secs().saturating_mul(u64::from(job.gpus));
        let brings = job.pays(payable.0).saturating_sub(job.pays(job.used.0));
        let due = unclaimed > 0 && unclaimed >= interval && policy.is_worth(brings);
        return if due { Step::Claim(Due::Interval) } else { Step::Wait };
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

fn window_closes(job: &Job, now: Timestamp) -> bool {
    let (Some(end), Some(from)) = (job.end, job.refundable_from) else { return false };
    let window = from.duration_since(end).max(SignedDuration::ZERO);
    now.duration_since(end) >= window - window / LAST_SHARE
}

#[cfg(test)]
mod tests {
    use hawser_attestation::Attestor;
    use hawser_market::AttestorTail;

    use super::*;

    const POLICY: Policy = Policy {
        payment: Payment::Cumulative,
        interval: Duration::from_mins(10),
        least: Units::ZERO,
        claim_cost: Units::ZERO,
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    /// 2 GPUs, ordered for 3600 s, startable until 100, started at 50, claims until 800 s after the end.
    fn job(status: JobStatus, used: u64) -> Job {
        let started = matches!(status, JobStatus::Running | JobStatus::Ended);
        Job {
            id: "lease-1".into(),
            status,
            attestor: started.then(|| AttestorTail::of(Attestor::repeat_byte(1))),
            gpus: 2,
            price: 3600,
            duration_seconds: 3600,
            start_deadline: Some(at(100)),
            started: started.then_some(at(50)),
            end: started.then_some(at(3650)),
            ending: false,
            refundable_from: started.then_some(at(4450)),
            used: GpuSeconds(used),
            deposit: Units::from(7200),
            paid: Units::from(used),
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
    fn a_job_that_is_paid_once_is_claimed_when_it_is_over_and_not_before() {
        use JobStatus::{Closed, Ended, Open, Running};
        let cases = [
            // status, attested, over, now, expected
            (Open, 0, true, 60, Step::Decline, "failed before its start"),
            (Running, 0, false, 60, Step::Wait, "no voucher yet"),
            (Running, 1200, false, 900, Step::Wait, "an interval of two GPUs: a claim would close it"),
            (Running, 7200, false, 4350, Step::Wait, "the window would close, and it is seen running still"),
            (Running, 10, true, 60, Step::Claim(Due::Over), "its program has ended"),
            (Running, 24, true, 60, Step::Wait, "over, part of it payable: the one claim is for all of it"),
            (Running, 0, true, 60, Step::End { expect_used: GpuSeconds(0) }, "over without any use"),
            (Ended, 1200, false, 3700, Step::Wait, "time is up, a newer voucher may come"),
            (
                Ended,
                10,
                false,
                4350,
                Step::Claim(Due::WindowCloses),
                "no newer one came, and the last eighth has begun",
            ),
            (Ended, 10, true, 3700, Step::Claim(Due::Over), "over"),
            (Ended, 10, true, 4350, Step::Claim(Due::WindowCloses), "over, in the last eighth"),
            (Ended, 10, true, 4450, Step::Refund, "window closed"),
            (Closed, 10, true, 3700, Step::Done, "its claim has closed it"),
        ];
        let policy = Policy { payment: Payment::OnceAtTheEnd, ..POLICY };
        for (status, attested, over, now, expected, why) in cases {
            let step = next(&job(status, 0), GpuSeconds(attested), over, at(now), policy);
            assert_eq!(step, expected, "{why}");
        }
    }

    #[test]
    fn a_running_job_is_claimed_once_that_is_worth_it_and_one_that_is_over_in_any_case() {
        // A GPU-second is a token unit here: an interval brings 1200.
        let policy =
            |least: u64, cost: u64| Policy { least: Units::from(least), claim_cost: Units::from(cost), ..POLICY };
        let claim = Step::Claim(Due::Interval);
        for (policy, attested, expected) in [
            (policy(1200, 0), 1200, claim),
            (policy(1201, 0), 1200, Step::Wait),
            (policy(0, 60), 1200, claim),
            (policy(0, 61), 1200, Step::Wait),
            (policy(0, 61), 1220, claim),
        ] {
            let running = job(JobStatus::Running, 0);
            assert_eq!(next(&running, GpuSeconds(attested), false, at(900), policy), expected, "{policy:?}");
            assert_eq!(next(&running, GpuSeconds(attested), true, at(900), policy), Step::Claim(Due::Over));
            let ended = job(JobStatus::Ended, 0);
            let late = next(&ended, GpuSeconds(attested), false, at(4400), policy);
            assert_eq!(late, Step::Claim(Due::WindowCloses), "{policy:?}");
        }
    }
}
