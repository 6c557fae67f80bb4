//! What the chain says of a job that its evidence must agree with, and when it said so.

use alloy::{
    primitives::{Address, B256},
    rpc::types::{Filter, Log},
    sol_types::{SolEvent, SolEventInterface},
};
use hawser_attestation::MarketId;
use hawser_contracts::ComputeMarket::{ComputeMarketEvents as Event, OfferSet, UsageClaimed};
use hawser_market::{JobId, JobStatus, OfferId};

use super::{MarketClient, orders::topic};
use crate::{failure::Failure, job::second};

/// An attestor that the provider named, and the second in which the chain took it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) attestor: Address,
    pub(crate) at: u64,
}

/// A claim that was paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claimed {
    /// GPU-seconds claimed so far.
    pub(crate) used: u64,
    /// The root that it rests on.
    pub(crate) root: B256,
    /// Second of its block.
    pub(crate) at: u64,
}

/// A job that was started, as the chain has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) market: MarketId,
    pub(crate) gpu_class: B256,
    pub(crate) gpus: u16,
    pub(crate) status: JobStatus,
    /// Second of the start.
    pub(crate) started: u64,
    /// GPU-seconds claimed in all.
    pub(crate) used: u64,
    /// Whose vouchers counted, in order.
    pub(crate) attestors: Vec<Named>,
    pub(crate) claims: Vec<Claimed>,
    /// Second of the newest block.
    pub(crate) now: u64,
    /// The same, or by this machine's clock where that is later: a quiet chain has no new blocks.
    pub(crate) latest: u64,
}

/// A card as it was posted: the provider's own words, see [`crate::card`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PostedCard {
    pub(crate) offer: OfferId,
    pub(crate) text: String,
}

impl MarketClient {
    pub(crate) async fn record(&self, id: JobId) -> Result<Record, Failure> {
        let job = self.job(id).await?;
        let started = second(job.started);
        if started == 0 {
            return Err(Failure::refused(format!("job {id} was never started, so there is no evidence of it")));
        }
        let offer = self.offer(id.offer_id()).await?;
        let (mut attestors, mut start) = (Vec::new(), None);
        for log in self.logs(Filter::new().address(self.address()).topic1(id.0)).await? {
            let attestor = match Event::decode_log(&log.inner).map(|event| event.data) {
                Ok(Event::JobStarted(started)) => {
                    start = log.block_number;
                    started.attestor
                }
                Ok(Event::AttestorRotated(rotated)) => rotated.attestor,
                _ => continue,
            };
            attestors.push(Named { attestor, at: self.time_of(&log).await? });
        }
        // Without it the first attestor is not known either.
        let start = start.ok_or_else(|| {
            Failure::refused(format!(
                "the start of job {id} is not in the events from block {} on: lower --from-block (HAWSER_FROM_BLOCK) to \
                 a block before {}",
                self.first_block(),
                hawser_market::text::time(started)
            ))
        })?;
        let now = self.now().await?;
        let here = u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or_default();
        Ok(Record {
            market: MarketId { chain_id: self.chain_id(), address: self.address() },
            gpu_class: offer.terms.gpuClass,
            gpus: id.gpus(),
            status: job.status,
            started,
            used: job.used.0,
            attestors,
            claims: self.paid_claims(id, start).await?,
            now,
            latest: now.max(here),
        })
    }

    /// A claim names its jobs in its data, so all of the offer are read, from the block of the job's start on: none is older.
    async fn paid_claims(&self, id: JobId, from: u64) -> Result<Vec<Claimed>, Failure> {
        let claimed = Filter::new()
            .address(self.address())
            .event_signature(UsageClaimed::SIGNATURE_HASH)
            .topic1(topic(id.offer_id()));
        let mut claims = Vec::new();
        for log in self.logs_from(claimed, from).await? {
            let Ok(claim) = UsageClaimed::decode_log(&log.inner) else { continue };
            let uses =
                claim.settlements.iter().map(|line| (JobId::of_use(line.r#use, id.offer_id()), line.evidenceRoot));
            let of_job: Vec<_> = uses.filter(|((job, _), _)| *job == id).collect();
            if of_job.is_empty() {
                continue;
            }
            let at = self.time_of(&log).await?;
            claims.extend(of_job.into_iter().map(|((_, used), root)| Claimed { used: used.0, root, at }));
        }
        Ok(claims)
    }

    /// The newest card of an offer; none where it is not in the blocks that are looked at.
    pub(crate) async fn card_of(&self, offer: OfferId) -> Result<Option<String>, Failure> {
        let posted =
            Filter::new().address(self.address()).event_signature(OfferSet::SIGNATURE_HASH).topic1(topic(offer));
        Ok(self.logs(posted).await?.iter().filter_map(card).next_back().map(|card| card.text))
    }

    /// All cards, oldest first: an offer's last one holds.
    pub(crate) async fn cards(&self) -> Result<Vec<PostedCard>, Failure> {
        let posted = Filter::new().address(self.address()).event_signature(OfferSet::SIGNATURE_HASH);
        Ok(self.logs(posted).await?.iter().filter_map(card).collect())
    }

    pub(crate) fn first_block(&self) -> u64 {
        self.from_block
    }

    /// Whether the market has a past before the blocks that are looked at; none where the node has forgotten.
    pub(crate) async fn has_a_past(&self) -> Option<bool> {
        match self.from_block.checked_sub(1) {
            Some(before) => self.had_code(before).await,
            None => Some(false),
        }
    }
}

fn card(log: &Log) -> Option<PostedCard> {
    let set = OfferSet::decode_log(&log.inner).ok()?;
    Some(PostedCard { offer: OfferId(set.offerId), text: set.card.clone() })
}
