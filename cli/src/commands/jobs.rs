//! `hawser jobs`: the jobs of one customer, from the market's events.

use std::collections::{BTreeMap, btree_map::Entry};

use alloy::primitives::Address;
use hawser_market::{JobId, JobStatus, OfferId};

use crate::{
    card::Card,
    chain::MarketClient,
    failure::Failure,
    job::{JobView, Sold},
    output::progress,
};

pub(crate) async fn run(market: &MarketClient, customer: Address, all: bool) -> Result<Vec<JobView>, Failure> {
    let ids = market.jobs_of(customer).await?;
    tell_of_the_past(market, "jobs that were ordered before it").await;
    let histories = market.histories(&ids).await?;
    let mut offers = BTreeMap::new();
    let mut views = Vec::with_capacity(ids.len());
    for id in ids {
        let job = market.job(id).await?;
        if !all && job.status == JobStatus::Closed {
            continue;
        }
        let offer = offer_of(market, id, &mut offers).await?;
        let history = histories.get(&id).cloned().unwrap_or_default();
        views.push(JobView::new(&job, &history, offer));
    }
    Ok(views)
}

/// Says what is not listed because it happened before the blocks that are looked at.
pub(super) async fn tell_of_the_past(market: &MarketClient, what: &str) {
    let older = match market.has_a_past().await {
        Some(true) => "is",
        Some(false) => return,
        None => "may be",
    };
    progress(format!(
        "the market {older} older than block {}: {what} are not listed; lower --from-block (HAWSER_FROM_BLOCK) to see them",
        market.first_block()
    ));
}

/// One job with its history.
pub(crate) async fn one(market: &MarketClient, id: JobId) -> Result<JobView, Failure> {
    let job = market.job(id).await?;
    let mut offers = BTreeMap::new();
    let offer = offer_of(market, id, &mut offers).await?;
    let history = market.histories(&[id]).await?.remove(&id).unwrap_or_default();
    Ok(JobView::new(&job, &history, offer))
}

/// What a view of a job needs of its offer; each offer is asked for once.
async fn offer_of<'a>(
    market: &MarketClient,
    job: JobId,
    known: &'a mut BTreeMap<OfferId, Sold>,
) -> Result<&'a Sold, Failure> {
    match known.entry(job.offer_id()) {
        Entry::Occupied(offer) => Ok(offer.into_mut()),
        Entry::Vacant(place) => {
            let offer = *place.key();
            let terms = market.offer(offer).await?.terms;
            let token = market.token(terms.token).await?;
            let card = market.card_of(offer).await?.map_or_else(Card::default, |card| Card::read(&card));
            Ok(place.insert(Sold { token, card, start_window: terms.startWindow }))
        }
    }
}
