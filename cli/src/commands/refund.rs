//! `hawser refund`: closes jobs by time, so that what is left comes back.

use std::collections::BTreeMap;

use alloy::{
    primitives::{B256, U256},
    sol_types::SolEvent,
};
use hawser_contracts::ComputeMarket::JobRefunded;
use hawser_market::{JobId, JobStatus, Token, text::time};
use serde::Serialize;

use crate::{
    chain::MarketClient,
    failure::Failure,
    job::{decimal, second},
    output::{Printable, columns, progress},
};

/// A job that was closed by time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Refunded {
    job_id: JobId,
    /// Credited back now.
    #[serde(serialize_with = "decimal")]
    returned: U256,
    token: Token,
    tx: B256,
}

impl Printable for Vec<Refunded> {
    fn table(&self) -> String {
        columns(
            ["JOB", "RETURNED", "TRANSACTION"],
            self.iter().map(|job| [job.job_id.to_string(), job.token.show(job.returned), job.tx.to_string()]),
        )
    }
}

pub(crate) async fn run(market: &MarketClient, ids: &[JobId]) -> Result<Vec<Refunded>, Failure> {
    let now = market.now().await?;
    let mut due = BTreeMap::new();
    for id in ids {
        let job = market.job(*id).await?;
        match why_not(*id, job.status, second(job.refundable_from), now) {
            Some(why) if ids.len() == 1 => return Err(Failure::refused(why)),
            Some(why) => progress(format!("left out: {why}")),
            None => _ = due.insert(*id, market.token(market.offer(id.offer_id()).await?.terms.token).await?),
        }
    }
    let mut jobs = Vec::with_capacity(due.len());
    for job in market.job_refs(&due.keys().copied().collect::<Vec<_>>()).await?.into_values() {
        match job {
            Ok(job) => jobs.push(job),
            Err(why) if ids.len() == 1 => return Err(why),
            Err(why) => progress(format!("left out: {why}")),
        }
    }
    if jobs.is_empty() {
        return Err(Failure::refused("none of these jobs can be refunded now: the reasons are above"));
    }
    let call = market.contract().refund(jobs).calldata().clone();
    let receipt = market.send(market.address(), call, None).await?.receipt;
    let tx = receipt.transaction_hash;
    let refunded: Vec<Refunded> = receipt
        .logs()
        .iter()
        .filter_map(|log| JobRefunded::decode_log(&log.inner).ok())
        .filter_map(|log| {
            let job_id = JobId(log.id);
            Some(Refunded { job_id, returned: log.refunded, token: due.get(&job_id)?.clone(), tx })
        })
        .collect();
    if refunded.is_empty() {
        return Err(Failure::refused(format!(
            "transaction {tx} closed none of the jobs: somebody else was first, look with `hawser jobs --all`"
        )));
    }
    Ok(refunded)
}

/// The market skips what is too early without a word to the caller; this is the word.
fn why_not(id: JobId, status: JobStatus, refundable_from: u64, now: u64) -> Option<String> {
    let meanwhile = match status {
        JobStatus::None | JobStatus::Closed => {
            return Some(format!("job {id} is closed already: all of it was paid or came back as credit"));
        }
        JobStatus::Open => "the provider may start it until then",
        JobStatus::Running => "it is running, and `hawser end` ends it earlier",
        JobStatus::Ended => "use can be claimed until then",
    };
    let wait = refundable_from.checked_sub(now).filter(|wait| *wait > 0)?;
    Some(format!("job {id} can be refunded from {} ({wait} s from now): {meanwhile}", time(refundable_from)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_early_says_from_when() {
        let id = JobId(B256::ZERO);
        for (status, says) in [
            (JobStatus::Open, "may start it"),
            (JobStatus::Running, "`hawser end`"),
            (JobStatus::Ended, "can be claimed"),
        ] {
            let why = why_not(id, status, 1_700_000_010, 1_700_000_000).unwrap();
            assert!(why.contains("(10 s from now)") && why.contains(says), "{why}");
            assert_eq!(why_not(id, status, 1_700_000_010, 1_700_000_010), None);
        }
        assert!(why_not(id, JobStatus::Closed, 0, 1_700_000_000).unwrap().contains("closed already"));
    }
}
