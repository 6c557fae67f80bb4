//! `hawser watch`: follows a job, one line for each thing that happens.

use std::time::Duration;

use hawser_market::{Job, JobId, JobStatus, Token, end_reason::is_completed, text::time};
use tokio::time::{Instant, sleep};

use super::jobs;
use crate::{
    args::WaitOptions,
    chain::MarketClient,
    failure::Failure,
    job::{JobOutcome, JobView, Milestone, second},
    output::progress,
};

/// About a block of a fast chain: asking more often shows nothing more.
const INTERVAL: Duration = Duration::from_secs(2);

/// A node that fails this many times in a row is reported; a blip isn't.
const FAILURES: u32 = 15;

/// The job as it stands at the end, and whether that is what the customer hoped for.
pub(crate) type Watched = (JobView, Result<(), Failure>);

pub(crate) async fn run(market: &MarketClient, id: JobId, wait: WaitOptions) -> Result<Watched, Failure> {
    let first = market.job(id).await?;
    follow(market, id, first, wait).await
}

/// Follows a job from its order to its end. The endpoint may stand for several nodes, some of which don't know the
/// order's block yet.
pub(crate) async fn from_order(market: &MarketClient, id: JobId) -> Result<Watched, Failure> {
    let first = patiently(async || market.job(id).await).await?;
    follow(market, id, first, WaitOptions::ENDLESS).await
}

/// Tells whoever stops watching (Ctrl-C) that nothing else stops.
pub(crate) async fn unless_stopped(
    id: JobId,
    watched: impl Future<Output = Result<Watched, Failure>>,
) -> Result<Watched, Failure> {
    tokio::select! {
        watched = watched => watched,
        Ok(()) = tokio::signal::ctrl_c() => Err(Failure::Stopped(format!(
            "stopped watching, and job {id} goes on: `hawser watch {id}` follows it again, `hawser end {id}` ends it"
        ))),
    }
}

async fn follow(market: &MarketClient, id: JobId, first: Job, wait: WaitOptions) -> Result<Watched, Failure> {
    let token = patiently(async || market.token(market.offer(id.offer_id()).await?.terms.token).await).await?;
    changes(None, &first, &token).iter().for_each(progress);
    let mut seen = first;
    let deadline = wait.timeout.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut failures = 0;
    while !wait.until.reached(seen.status) {
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            let view = jobs::one(market, id).await?;
            let verdict = Err(Failure::refused(format!(
                "timed out: job {id} is still {}. It keeps running; run `hawser watch` again to follow it",
                view.status
            )));
            return Ok((view, verdict));
        }
        sleep(INTERVAL).await;
        match market.job(id).await {
            Ok(now) => {
                failures = 0;
                changes(Some(&seen), &now, &token).iter().for_each(progress);
                seen = now;
            }
            Err(_) if failures < FAILURES => failures += 1,
            Err(failure) => return Err(failure),
        }
    }
    let view = patiently(async || at_the_end(market, id, wait.until).await).await?;
    let verdict = verdict(&view);
    Ok((view, verdict))
}

async fn patiently<T>(ask: impl AsyncFn() -> Result<T, Failure>) -> Result<T, Failure> {
    for _ in 0..FAILURES {
        if let Ok(answer) = ask().await {
            return Ok(answer);
        }
        sleep(INTERVAL).await;
    }
    ask().await
}

/// The job with its history, from a node that knows as much as the one that was watched.
async fn at_the_end(market: &MarketClient, id: JobId, until: Milestone) -> Result<JobView, Failure> {
    let view = jobs::one(market, id).await?;
    if !until.reached(view.status) {
        return Err(Failure::Unreachable(format!("the node is behind, job {id} is {} again: try again", view.status)));
    }
    if view.status == JobStatus::Closed && view.outcome.is_none() {
        return Err(Failure::refused(format!(
            "job {id} is closed, and the node has no event that says how: check --from-block (HAWSER_FROM_BLOCK)"
        )));
    }
    Ok(view)
}

/// A job that never ran, or didn't do its work, is no success, so that a script notices.
fn verdict(view: &JobView) -> Result<(), Failure> {
    let back = view.token.show(view.returned);
    let reason = view.reason.as_deref().unwrap_or("no reason given");
    match view.outcome {
        Some(JobOutcome::Declined) => Err(Failure::refused(format!(
            "the provider declined the order ({reason}): {back} came back as credit, order again or `hawser withdraw`"
        ))),
        Some(JobOutcome::Refunded) if view.started == 0 => Err(Failure::refused(format!(
            "the job was not started in time: {back} came back as credit, order again or `hawser withdraw`"
        ))),
        Some(outcome) if has_failed(outcome, view.reason.as_deref()) => Err(Failure::refused(format!(
            "the job did not end as it should ({reason}): {back} came back as credit, order again or `hawser withdraw`"
        ))),
        _ => Ok(()),
    }
}

/// Whether a provider ended a job for another reason than that it was over. A last voucher closes one without any, and a
/// reason is that of an end which was announced before.
fn has_failed(outcome: JobOutcome, reason: Option<&str>) -> bool {
    match outcome {
        JobOutcome::Ended => !reason.is_some_and(is_completed),
        JobOutcome::Settled => reason.is_some_and(|reason| !is_completed(reason)),
        JobOutcome::Declined | JobOutcome::Refunded => false,
    }
}

/// What happened between two looks, in words.
fn changes(before: Option<&Job>, now: &Job, token: &Token) -> Vec<String> {
    let mut lines = Vec::new();
    let (gpus, status) = (now.id.gpus(), now.status);
    let attestor = now.attestor.map_or_else(|| "none".to_owned(), |attestor| attestor.to_string());
    if before.is_none_or(|before| before.status != now.status) {
        lines.push(match status {
            JobStatus::None => "not on this chain any more: a reorganisation took its order away".to_owned(),
            JobStatus::Open => {
                format!("ordered: the provider has until {} to start it", time(second(now.start_deadline)))
            }
            JobStatus::Running => format!(
                "running since {} until {}: {gpus} GPUs, attestor {attestor}",
                time(second(now.started)),
                time(second(now.end)),
            ),
            JobStatus::Ended => {
                format!(
                    "ended: use is claimed now, the rest can be refunded from {}",
                    time(second(now.refundable_from))
                )
            }
            JobStatus::Closed => format!("closed: {} GPU-seconds used, {} paid", now.used, token.show(now.paid)),
        });
    }
    let Some(before) = before.filter(|_| status != JobStatus::Closed) else { return lines };
    if before.attestor != now.attestor && before.status == JobStatus::Running {
        lines.push(format!("the provider replaced the attestor by {attestor}"));
    }
    if now.ending && !before.ending {
        lines.push(format!("an end was announced for {}", time(second(now.end))));
    } else if now.duration_seconds > before.duration_seconds {
        lines.push(format!("topped up to {} seconds, until {}", now.duration_seconds, time(second(now.end))));
    }
    if now.used > before.used {
        let bought = u64::from(now.duration_seconds) * u64::from(gpus);
        lines.push(format!("{} of {bought} GPU-seconds claimed, {} paid", now.used, token.show(now.paid)));
    }
    lines
}

#[cfg(test)]
mod tests {
    use JobStatus::{Closed, Open, Running};
    use alloy::primitives::{Address, FixedBytes, U256};
    use hawser_market::{AttestorTail, GpuSeconds, OfferId, timestamp};

    use super::*;

    fn token() -> Token {
        Token { address: Address::ZERO, symbol: "USDC".to_owned(), decimals: 6 }
    }

    fn job(status: JobStatus) -> Job {
        let offer = OfferId(FixedBytes::ZERO);
        Job {
            id: JobId::from_parts(offer, 3_600_000_000, 2, FixedBytes::ZERO).unwrap(),
            status,
            attestor: None,
            duration_seconds: 600,
            start_deadline: Some(timestamp(1_700_000_600)),
            started: Some(timestamp(1_700_000_000)),
            end: Some(timestamp(1_700_000_600)),
            ending: false,
            refundable_from: Some(timestamp(1_700_090_000)),
            used: GpuSeconds::ZERO,
            deposit: U256::from(1_200_000_000),
            paid: U256::ZERO,
        }
    }

    #[test]
    fn an_end_needs_a_good_reason_and_a_settlement_only_no_bad_one() {
        for (reason, ended, settled) in [
            (None, true, false),
            (Some("TimeUp"), false, false),
            (Some("Error: the program ended with exit code 3"), true, true),
        ] {
            assert_eq!(has_failed(JobOutcome::Ended, reason), ended, "{reason:?}");
            assert_eq!(has_failed(JobOutcome::Settled, reason), settled, "{reason:?}");
        }
    }

    #[test]
    fn nothing_new_says_nothing() {
        assert_eq!(changes(Some(&job(Running)), &job(Running), &token()), Vec::<String>::new());
    }

    #[test]
    fn every_step_of_a_job_is_said_once() {
        let claimed = Job { used: GpuSeconds(120), paid: U256::from(120_000_000), ..job(Running) };
        let ending = Job { ending: true, duration_seconds: 300, ..claimed.clone() };
        let closed = Job {
            status: Closed,
            duration_seconds: 0,
            attestor: Some(AttestorTail::of(Address::repeat_byte(9))),
            ..ending.clone()
        };
        let steps = [
            (None, job(Open), "ordered: the provider has until 2023-11-14 22:23:20Z"),
            (Some(job(Open)), job(Running), "running since 2023-11-14 22:13:20Z"),
            (Some(job(Running)), claimed.clone(), "120 of 1200 GPU-seconds claimed, 120 USDC paid"),
            (Some(job(Running)), Job { duration_seconds: 900, ..job(Running) }, "topped up to 900 seconds"),
            (
                Some(job(Running)),
                Job { attestor: Some(AttestorTail::of(Address::repeat_byte(1))), ..job(Running) },
                "replaced the attestor",
            ),
            (Some(claimed), ending.clone(), "an end was announced"),
            (Some(ending), closed, "closed: 120 GPU-seconds used, 120 USDC paid"),
        ];
        for (before, now, expected) in steps {
            let lines = changes(before.as_ref(), &now, &token());
            assert!(matches!(&lines[..], [line] if line.contains(expected)), "{expected}: {lines:?}");
        }
    }
}
