//! `hawser jobs`: the jobs of one customer, from the market's events.

use std::collections::{BTreeMap, btree_map::Entry};

use alloy::primitives::Address;
use hawser_market::{JobId, JobStatus, OfferId, Token};

use crate::{card::Card, chain::Market, failure::Failure, job::JobView, output::progress};

pub(crate) async fn run(market: &Market, customer: Address, all: bool) -> Result<Vec<JobView>, Failure> {
    let ids = market.jobs_of(customer).await?;
    let older = match market.has_a_past().await {
        Some(true) => "is",
        Some(false) => "",
        None => "may be",
    };
    if !older.is_empty() {
        progress(format!(
            "the market {older} older than block {}: jobs that were ordered before it are not listed; lower --from-block \
             (HAWSER_FROM_BLOCK) to see them",
            market.first_block()
        ));
    }
    let histories = market.histories(&ids).await?;
    let mut offers = BTreeMap::new();
    let mut views = Vec::with_capacity(ids.len());
    for id in ids {
        let job = market.job(id).await?;
        if !all && job.status == JobStatus::Closed {
            continue;
        }
        let (token, card) = offer_of(market, id, &mut offers).await?;
        let history = histories.get(&id).cloned().unwrap_or_default();
        views.push(JobView::new(&job, &history, token.clone(), card));
    }
    Ok(views)
}

/// One job with its history.
pub(crate) async fn one(market: &Market, id: JobId) -> Result<JobView, Failure> {
    let job = market.job(id).await?;
    let mut offers = BTreeMap::new();
    let (token, card) = offer_of(market, id, &mut offers).await?;
    let history = market.histories(&[id]).await?.remove(&id).unwrap_or_default();
    Ok(JobView::new(&job, &history, token.clone(), card))
}

/// What a job's offer is paid with, and its card; each offer is asked for once.
async fn offer_of<'a>(
    market: &Market,
    job: JobId,
    known: &'a mut BTreeMap<OfferId, (Token, Card)>,
) -> Result<&'a (Token, Card), Failure> {
    match known.entry(job.offer_id()) {
        Entry::Occupied(offer) => Ok(offer.into_mut()),
        Entry::Vacant(place) => {
            let offer = *place.key();
            let token = market.token(market.offer(offer).await?.terms.token).await?;
            let card = market.card_of(offer).await?.map_or_else(Card::default, |card| Card::read(&card));
            Ok(place.insert((token, card)))
        }
    }
}
