//! `hawser topup`: pays for more time.

use alloy::{
    primitives::{B256, U256},
    sol_types::{SolError, SolEvent},
};
use hawser_contracts::ComputeMarket::{JobToppedUp, NotCustomer};
use hawser_market::{
    JobId, Token,
    refusal::{Audience, in_words},
};
use serde::Serialize;

use crate::{
    chain::{MarketClient, Purchase},
    failure::Failure,
    job::decimal,
    output::{Printable, pairs, progress},
};

/// More time, paid for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ToppedUp {
    job_id: JobId,
    /// Seconds paid for in all.
    seconds: u32,
    /// What the added seconds cost.
    #[serde(serialize_with = "decimal")]
    added: U256,
    /// Deposited in all.
    #[serde(serialize_with = "decimal")]
    deposited: U256,
    token: Token,
    tx: B256,
}

impl Printable for ToppedUp {
    fn table(&self) -> String {
        pairs([
            ("Job", self.job_id.to_string()),
            ("Seconds", self.seconds.to_string()),
            ("Added", self.token.show(self.added)),
            ("Deposited", self.token.show(self.deposited)),
            ("Transaction", self.tx.to_string()),
        ])
    }
}

pub(crate) async fn run(market: &MarketClient, id: JobId, seconds: u32) -> Result<ToppedUp, Failure> {
    let job = market.job(id).await?;
    check_mine(market, id).await?;
    let terms = market.offer(id.offer_id()).await?.terms;
    let token = market.token(terms.token).await?;
    let call = market.contract().topUp(id.0, seconds).calldata().clone();
    let in_all = job.duration_seconds.saturating_add(seconds);
    // Beyond the longest duration the market refuses whatever is paid: let it, before an allowance is given.
    let due = if in_all > terms.maxDuration { U256::ZERO } else { id.deposit(in_all).saturating_sub(job.deposit) };
    let mined = market.purchase(Purchase { call, due, token: &token }).await.map_err(|failure| {
        failure.advise(|| {
            let before = job.duration_seconds;
            format!("look at the job's seconds with `hawser jobs` first: {in_all} seconds if it is, {before} if it isn't yet")
        })
    });
    let receipt = mined?.receipt;
    let tx = receipt.transaction_hash;
    let topped_up = receipt
        .logs()
        .iter()
        .find_map(|log| JobToppedUp::decode_log(&log.inner).ok())
        .ok_or_else(|| Failure::refused(format!("transaction {tx} added no time: check --market")))?;
    Ok(ToppedUp {
        job_id: id,
        seconds: topped_up.duration,
        added: topped_up.deposit.saturating_sub(job.deposit),
        deposited: topped_up.deposit,
        token,
        tx,
    })
}

/// The market takes anybody's money for a job, and gives back to its customer what is left of it.
async fn check_mine(market: &MarketClient, id: JobId) -> Result<(), Failure> {
    let me = market.me()?;
    match market.known_order_of(id).await? {
        Some(order) if order.customer == me => Ok(()),
        Some(_) => {
            let refusal = NotCustomer { id: id.0, caller: me }.abi_encode();
            Err(Failure::refused(in_words(&refusal, None, Audience::Customer)))
        }
        None => {
            progress(format!(
                "the order of job {id} is not in the events from block {} on, so whose it is was not checked: lower \
                 --from-block (HAWSER_FROM_BLOCK) to have it checked",
                market.first_block()
            ));
            Ok(())
        }
    }
}
