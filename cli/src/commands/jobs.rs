//! `hawser jobs`: the jobs of one customer, from the market's events.

use std::collections::BTreeMap;

use alloy::primitives::Address;
use hawser_contracts::{JobId, OfferId};

use crate::{
    chain::Market,
    failure::Failure,
    job::{JobView, Status},
    output::progress,
    token::Token,
};

pub(crate) async fn run(market: &Market, customer: Address, all: bool) -> Result<Vec<JobView>, Failure> {
    let ids = market.jobs_of(customer).await?;
    if market.has_a_past().await {
        progress(format!(
            "the market is older than block {}: jobs that were ordered before it are not listed; lower --from-block \
             (HAWSER_FROM_BLOCK) to see them",
            market.first_block()
        ));
    }
    let histories = market.histories(&ids).await?;
    let mut tokens = BTreeMap::new();
    let mut views = Vec::with_capacity(ids.len());
    for id in ids {
        let job = market.job(id).await?;
        if !all && Status::from(job.status) == Status::Closed {
            continue;
        }
        let token = token_of(market, id, &mut tokens).await?;
        let history = histories.get(&id).cloned().unwrap_or_default();
        views.push(JobView::new(id, &job, &history, token));
    }
    Ok(views)
}

/// One job with its history.
pub(crate) async fn one(market: &Market, id: JobId) -> Result<JobView, Failure> {
    let job = market.job(id).await?;
    let token = token_of(market, id, &mut BTreeMap::new()).await?;
    let history = market.histories(&[id]).await?.remove(&id).unwrap_or_default();
    Ok(JobView::new(id, &job, &history, token))
}

async fn token_of(market: &Market, job: JobId, known: &mut BTreeMap<OfferId, Token>) -> Result<Token, Failure> {
    let offer = job.offer_id();
    if let Some(token) = known.get(&offer) {
        return Ok(token.clone());
    }
    let token = market.token(market.offer(offer).await?.terms.token).await?;
    known.insert(offer, token.clone());
    Ok(token)
}
