//! `hawser order`: places an order and pays its deposit.

use alloy::{
    primitives::{Address, B256, U256},
    sol_types::SolEvent,
};
use hawser_contracts::{
    ComputeMarket::{JobOpened, Offer},
    JobId, OfferId,
};
use serde::Serialize;

use crate::{
    chain::{Market, Purchase},
    failure::Failure,
    job::decimal,
    order::Order,
    output::{Report, pairs, progress},
    text::{gpu_class, time},
    token::Token,
};

/// An order that stands on chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Placed {
    pub(crate) job_id: JobId,
    offer_id: OfferId,
    customer: Address,
    gpus: u16,
    seconds: u32,
    #[serde(serialize_with = "decimal")]
    price: U256,
    token: Token,
    #[serde(serialize_with = "decimal")]
    deposited: U256,
    start_deadline: u64,
    salt: B256,
    tx: B256,
    block: u64,
}

impl Report for Placed {
    fn table(&self) -> String {
        pairs([
            ("Job", self.job_id.to_string()),
            ("Deposited", self.token.show(self.deposited)),
            ("Price", format!("{} per GPU-hour", self.token.show(self.price))),
            ("Start by", time(self.start_deadline)),
            ("Transaction", self.tx.to_string()),
            ("Follow it", format!("hawser watch {}", self.job_id)),
        ])
    }
}

pub(crate) async fn run(market: &Market, order: &Order) -> Result<Placed, Failure> {
    let customer = market.me()?;
    if order.may_be_sent {
        check_not_sent(market, customer, order).await?;
    }
    let offer = market.offer(order.offer).await?;
    let token = market.token(offer.terms.token).await?;
    let max_price = max_price(order, &offer, &token)?;
    let due = deposit(order, &offer);
    let spec = order.spec()?;
    progress(format!(
        "ordering {} x {} for {} s at {} per GPU-hour: deposit {}, salt {}",
        order.gpus,
        gpu_class(&offer.terms.gpuClass),
        order.seconds,
        token.show(U256::from(offer.price)),
        token.show(due),
        order.salt
    ));
    let call = market.contract().openJob(order.offer.0, order.gpus, order.seconds, max_price, order.salt, spec);
    let purchase = Purchase { call: call.calldata().clone(), due, token: &token };
    let mined = market.purchase(purchase).await.map_err(|failure| {
        failure.advise(|| {
            format!(
                "look with `hawser jobs` first, or repeat the order with --salt {}, which is refused where it stands already",
                order.salt
            )
        })
    });
    let receipt = mined?.receipt;
    let tx = receipt.transaction_hash;
    let opened = receipt
        .logs()
        .iter()
        .filter(|log| log.address() == market.address())
        .find_map(|log| JobOpened::decode_log(&log.inner).ok())
        .ok_or_else(|| Failure::refused(format!("transaction {tx} was mined without an order: check --market")))?;
    let job_id = JobId(opened.id);
    Ok(Placed {
        job_id,
        offer_id: order.offer,
        customer,
        gpus: order.gpus,
        seconds: opened.duration,
        price: U256::from(job_id.price()),
        token,
        deposited: opened.deposit,
        start_deadline: opened.startDeadline,
        salt: opened.salt,
        tx,
        block: receipt.block_number.unwrap_or_default(),
    })
}

async fn check_not_sent(market: &Market, customer: Address, order: &Order) -> Result<(), Failure> {
    // Asked first: what is mined in between is in the logs.
    if market.waits().await? {
        return Err(Failure::refused(format!(
            "a transaction of {customer} waits for its block, and it may be the same order: try again once it is mined"
        )));
    }
    match market.ordered_with(customer, order.offer, order.salt).await? {
        None => Ok(()),
        Some(job) => Err(Failure::refused(format!(
            "an order from this offer with this salt was placed already, as job {job}: follow it with `hawser watch`, or order again with another --salt"
        ))),
    }
}

/// The limit that protects the customer when the provider raises its price just before the order is mined.
fn max_price(order: &Order, offer: &Offer, token: &Token) -> Result<u128, Failure> {
    let Some(text) = &order.max_price else { return Ok(offer.price) };
    let units = token.units(&text.0).map_err(|problem| Failure::input(format!("the highest price: {problem}")))?;
    u128::try_from(units)
        .map_err(|_| Failure::input(format!("the highest price {} is beyond what a market holds", text.0)))
}

/// `ceil(price * gpus * seconds / 3600)`, as the market computes it.
fn deposit(order: &Order, offer: &Offer) -> U256 {
    let gpu_seconds = u64::from(order.gpus) * u64::from(order.seconds);
    (U256::from(offer.price) * U256::from(gpu_seconds)).div_ceil(U256::from(3600))
}
