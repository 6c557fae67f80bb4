//! A job as the chain shows it: state now, and what became of the money.

use std::fmt;

use alloy::primitives::{Address, U256};
use clap::ValueEnum;
use hawser_market::{GpuSeconds, Job, JobId, JobStatus, OfferId, Token, text::time};
use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::{
    card::Card,
    chain::{Closing, History},
    output::{Printable, columns, pairs},
};

/// How far a job is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Milestone {
    /// Started on chain
    Running,
    /// Its end has passed
    Ended,
    /// Nothing of its deposit is held any more
    Closed,
}

impl Milestone {
    pub(crate) fn reached(self, status: JobStatus) -> bool {
        match self {
            Self::Running => matches!(status, JobStatus::Running | JobStatus::Ended | JobStatus::Closed),
            Self::Ended => matches!(status, JobStatus::Ended | JobStatus::Closed),
            Self::Closed => status == JobStatus::Closed,
        }
    }
}

/// How a closed job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum JobOutcome {
    /// The provider turned the order down; everything came back.
    Declined,
    /// The provider ended it; what was used is paid.
    Ended,
    /// The same with the job's last voucher, for which the market takes no reason: nothing went wrong.
    #[serde(rename = "ended")]
    Settled,
    /// Closed by time: never started, or never claimed in full.
    Refunded,
}

impl fmt::Display for JobOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Declined => "Declined",
            Self::Ended | Self::Settled => "Ended",
            Self::Refunded => "Refunded",
        })
    }
}

/// What a view of a job needs of its offer.
#[derive(Clone, Debug)]
pub(crate) struct Sold {
    pub(crate) token: Token,
    pub(crate) card: Card,
    /// Seconds after the order in which it can be started.
    pub(crate) start_window: u32,
}

/// One job. Amounts are in the token's smallest unit, times are Unix seconds and 0 where there is none yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JobView {
    pub(crate) job_id: JobId,
    pub(crate) offer_id: OfferId,
    /// None where the order is not in the blocks that were looked at.
    pub(crate) customer: Option<Address>,
    pub(crate) status: JobStatus,
    pub(crate) outcome: Option<JobOutcome>,
    /// What the provider said when it declined or ended the job.
    pub(crate) reason: Option<String>,
    pub(crate) gpus: u16,
    /// Seconds ordered and paid for; as shortened by an end; 0 once closed.
    pub(crate) seconds: u32,
    /// Locked price per GPU-hour.
    #[serde(serialize_with = "decimal")]
    pub(crate) price: U256,
    pub(crate) token: Token,
    /// Deposited in all, top-ups included.
    #[serde(serialize_with = "decimal")]
    pub(crate) deposited: U256,
    /// Claimed so far, fee included.
    #[serde(serialize_with = "decimal")]
    pub(crate) paid: U256,
    /// Credited back to the customer so far.
    #[serde(serialize_with = "decimal")]
    pub(crate) returned: U256,
    pub(crate) used_gpu_seconds: GpuSeconds,
    pub(crate) attestor: Option<Address>,
    pub(crate) ordered: u64,
    pub(crate) start_deadline: u64,
    pub(crate) started: u64,
    pub(crate) end: u64,
    /// An end earlier than the paid one was announced.
    pub(crate) ending: bool,
    /// When anyone can close the job by time.
    pub(crate) refundable_from: u64,
    /// URL of its evidence, by the offer's newest card; `null` where that names none, or is not in the blocks looked at.
    pub(crate) evidence: Option<String>,
}

/// Unix seconds; 0 if there is no such time yet.
pub(crate) fn second(time: Option<Timestamp>) -> u64 {
    time.and_then(|time| u64::try_from(time.as_second()).ok()).unwrap_or(0)
}

/// JSON numbers lose digits beyond 2^53, so amounts are decimal strings.
pub(crate) fn decimal<S: Serializer>(amount: &U256, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(amount)
}

/// Last second at which the job could be started; 0 where nobody tells. The market forgets it with the start.
fn start_deadline(job: &Job, history: &History, offer: &Sold) -> u64 {
    match job.start_deadline {
        None if history.ordered_at != 0 => history.ordered_at.saturating_add(u64::from(offer.start_window)),
        deadline => second(deadline),
    }
}

impl JobView {
    pub(crate) fn new(job: &Job, history: &History, offer: &Sold) -> Self {
        let id = job.id;
        let (outcome, said) = match &history.closing {
            Some(Closing::Declined(reason)) => (Some(JobOutcome::Declined), Some(reason)),
            Some(Closing::Ended(reason)) => (Some(JobOutcome::Ended), Some(reason)),
            Some(Closing::Settled) => (Some(JobOutcome::Settled), history.end_reason.as_ref()),
            Some(Closing::Refunded) => (Some(JobOutcome::Refunded), history.end_reason.as_ref()),
            None => (None, history.end_reason.as_ref()),
        };
        Self {
            job_id: id,
            offer_id: id.offer_id(),
            customer: history.order.map(|order| order.customer),
            status: job.status,
            outcome,
            reason: said.filter(|reason| !reason.is_empty()).cloned(),
            gpus: id.gpus(),
            seconds: job.duration_seconds,
            price: U256::from(id.price()),
            token: offer.token.clone(),
            deposited: history.deposited,
            paid: job.paid,
            returned: history.returned,
            used_gpu_seconds: job.used,
            attestor: history.attestor,
            ordered: history.ordered_at,
            start_deadline: start_deadline(job, history, offer),
            started: second(job.started),
            end: second(job.end),
            ending: job.ending,
            refundable_from: second(job.refundable_from),
            evidence: offer.card.evidence_of(id),
        }
    }

    fn state(&self) -> String {
        match (self.status, self.outcome) {
            (JobStatus::Closed, Some(outcome)) => outcome.to_string(),
            (status, _) => status.to_string(),
        }
    }
}

impl Printable for JobView {
    fn table(&self) -> String {
        let dash = || "-".to_owned();
        pairs([
            ("Job", self.job_id.to_string()),
            ("Offer", self.offer_id.to_string()),
            ("Customer", self.customer.map_or_else(dash, |customer| customer.to_string())),
            ("Status", self.state()),
            ("Reason", self.reason.clone().unwrap_or_else(dash)),
            ("GPUs", self.gpus.to_string()),
            ("Seconds", self.seconds.to_string()),
            ("Price", format!("{} per GPU-hour", self.token.show(self.price))),
            ("Deposited", self.token.show(self.deposited)),
            ("Paid", self.token.show(self.paid)),
            ("Returned", self.token.show(self.returned)),
            ("Used", format!("{} GPU-seconds", self.used_gpu_seconds)),
            ("Attestor", self.attestor.map_or_else(dash, |attestor| attestor.to_string())),
            ("Ordered", time(self.ordered)),
            ("Start by", time(self.start_deadline)),
            ("Started", time(self.started)),
            ("Ends", time(self.end)),
            ("Refundable", time(self.refundable_from)),
            ("Evidence", self.evidence.clone().unwrap_or_else(dash)),
        ])
    }
}

impl Printable for Vec<JobView> {
    fn table(&self) -> String {
        columns(
            ["JOB", "STATUS", "GPUS", "SECONDS", "USED", "PAID", "RETURNED", "ENDS", "REASON"],
            self.iter().map(|job| {
                [
                    job.job_id.to_string(),
                    job.state(),
                    job.gpus.to_string(),
                    job.seconds.to_string(),
                    job.used_gpu_seconds.to_string(),
                    job.token.show(job.paid),
                    job.token.show(job.returned),
                    time(job.end),
                    job.reason.clone().unwrap_or_default(),
                ]
            }),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_milestone_is_reached_by_every_later_state() {
        let order = [JobStatus::Open, JobStatus::Running, JobStatus::Ended, JobStatus::Closed];
        for (milestone, first) in [(Milestone::Running, 1), (Milestone::Ended, 2), (Milestone::Closed, 3)] {
            for (position, status) in order.into_iter().enumerate() {
                assert_eq!(milestone.reached(status), position >= first, "{milestone:?} {status:?}");
            }
        }
    }
}
