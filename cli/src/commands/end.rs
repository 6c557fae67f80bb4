//! `hawser end`: ends a running job early.

use alloy::{
    primitives::{B256, U256},
    sol_types::SolEvent,
};
use hawser_contracts::ComputeMarket::JobEndAnnounced;
use hawser_market::{JobId, Token, text::time};
use serde::Serialize;

use crate::{
    chain::MarketClient,
    failure::Failure,
    job::decimal,
    output::{Printable, pairs},
};

/// An announced end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Ending {
    job_id: JobId,
    /// Second at which the job ends now.
    end: u64,
    /// Credited back at once: the price of the time after the end.
    #[serde(serialize_with = "decimal")]
    released: U256,
    token: Token,
    tx: B256,
}

impl Printable for Ending {
    fn table(&self) -> String {
        pairs([
            ("Job", self.job_id.to_string()),
            ("Ends", time(self.end)),
            ("Released", self.token.show(self.released)),
            ("Transaction", self.tx.to_string()),
        ])
    }
}

pub(crate) async fn run(market: &MarketClient, id: JobId) -> Result<Ending, Failure> {
    // A job that isn't there is a plainer answer than what the market says of it.
    market.job(id).await?;
    let token = market.token(market.offer(id.offer_id()).await?.terms.token).await?;
    let call = market.contract().endJob(market.job_ref(id).await?).calldata().clone();
    let receipt = market.send(market.address(), call, Some(&token)).await?.receipt;
    let tx = receipt.transaction_hash;
    let announced = receipt
        .logs()
        .iter()
        .find_map(|log| JobEndAnnounced::decode_log(&log.inner).ok())
        .ok_or_else(|| Failure::refused(format!("transaction {tx} announced no end: check --market")))?;
    Ok(Ending { job_id: id, end: announced.end, released: announced.released, token, tx })
}
