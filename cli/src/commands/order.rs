//! `hawser order`: places an order and pays its deposit.

use alloy::{
    primitives::{Address, B256, U256},
    sol_types::SolEvent,
};
use hawser_contracts::ComputeMarket::{JobOpened, Offer};
use hawser_market::{
    JobId, OfferId, Token, deposit,
    text::{gpu_class, time},
};
use serde::{Serialize, Serializer, ser};
use serde_json::value::RawValue;

use crate::{
    card::Card,
    chain::{MarketClient, Purchase},
    failure::Failure,
    job::decimal,
    order::OrderDraft,
    output::{Printable, pairs, progress},
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
    /// URL of the job's evidence, as the offer's card names it.
    evidence: Option<String>,
}

/// An order that was not sent.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Planned {
    /// Always true: nothing was sent.
    dry_run: bool,
    offer_id: OfferId,
    customer: Address,
    gpus: u16,
    seconds: u32,
    #[serde(serialize_with = "decimal")]
    price: U256,
    token: Token,
    #[serde(serialize_with = "decimal")]
    deposit: U256,
    /// Of it, what credit in the market pays.
    #[serde(serialize_with = "decimal")]
    from_credit: U256,
    /// The public spec, as everybody could read it on chain.
    #[serde(serialize_with = "as_json")]
    spec: String,
}

/// JSON as it is written, not as a text within JSON.
fn as_json<S: Serializer>(json: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serde_json::from_str::<&RawValue>(json).map_err(ser::Error::custom)?.serialize(serializer)
}

impl Printable for Planned {
    fn table(&self) -> String {
        pairs([
            ("Order", "not sent (--dry-run); market and offer would take it".to_owned()),
            ("Offer", self.offer_id.to_string()),
            ("GPUs", self.gpus.to_string()),
            ("Seconds", self.seconds.to_string()),
            ("Price", format!("{} per GPU-hour", self.token.show(self.price))),
            ("Deposit", self.token.show(self.deposit)),
            ("From credit", self.token.show(self.from_credit)),
            ("Public spec", self.spec.clone()),
        ])
    }
}

impl Printable for Placed {
    fn table(&self) -> String {
        pairs([
            ("Job", self.job_id.to_string()),
            ("Deposited", self.token.show(self.deposited)),
            ("Price", format!("{} per GPU-hour", self.token.show(self.price))),
            ("Start by", time(self.start_deadline)),
            ("Transaction", self.tx.to_string()),
            ("Evidence", self.evidence.clone().unwrap_or_else(|| "-".to_owned())),
            ("Follow it", format!("hawser watch {}", self.job_id)),
        ])
    }
}

/// An order that the offer takes, as far as can be known before it is sent.
struct Checked {
    offer: Offer,
    token: Token,
    max_price: u128,
    due: U256,
    card: Option<Card>,
}

/// What market, offer and operator would refuse is refused here: before money moves.
async fn checked(market: &MarketClient, order: &OrderDraft) -> Result<Checked, Failure> {
    let offer = market.offer(order.offer).await?;
    let token = market.token(offer.terms.token).await?;
    let max_price = max_price(order, &offer, &token)?;
    // What the market itself refuses is refused in any case: a card that can't be had is no reason to order nothing.
    let card = match market.card_of(order.offer).await {
        Ok(Some(text)) => Some(Card::read(&text)),
        Err(failure) => {
            progress(format!("the offer's card can't be read, so its limits are not known: {failure}"));
            None
        }
        Ok(None) => {
            progress(format!(
                "the card of offer {} is not in the events from block {} on, so its limits are not known: lower \
                 --from-block (HAWSER_FROM_BLOCK) to have them checked",
                order.offer,
                market.first_block()
            ));
            None
        }
    };
    if let Some(why) = card.as_ref().and_then(|card| card.declines(&order.workload)) {
        let of = if why.is_of_workload() { "workload." } else { "" };
        return Err(Failure::refused(format!("the offer would decline the order: {of}{why}")));
    }
    let due = deposit(offer.price, order.gpus, order.seconds);
    Ok(Checked { offer, token, max_price, due, card })
}

/// What would be ordered.
pub(crate) async fn plan(market: &MarketClient, order: &OrderDraft) -> Result<Planned, Failure> {
    let customer = market.me()?;
    let Checked { offer, token, max_price, due, .. } = checked(market, order).await?;
    let spec = order.spec()?;
    let call = market.contract().openJob(order.on_chain(customer, max_price, &spec), spec.clone());
    let spec = String::from_utf8_lossy(&spec).into_owned();
    market.check_with_market(call.calldata().clone(), &token).await?;
    let credit = market.credit(customer, token.address).await?;
    market.check_balance(customer, due.saturating_sub(credit), credit, &token).await?;
    Ok(Planned {
        dry_run: true,
        offer_id: order.offer,
        customer,
        gpus: order.gpus,
        seconds: order.seconds,
        price: U256::from(offer.price),
        token,
        deposit: due,
        from_credit: due.min(credit),
        spec,
    })
}

pub(crate) async fn run(market: &MarketClient, order: &OrderDraft) -> Result<Placed, Failure> {
    let customer = market.me()?;
    if order.may_be_sent {
        check_not_sent(market, customer, order).await?;
    }
    let Checked { offer, token, max_price, due, card } = checked(market, order).await?;
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
    let call = market.contract().openJob(order.on_chain(customer, max_price, &spec), spec);
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
    let (log, opened) = receipt
        .logs()
        .iter()
        .filter(|log| log.address() == market.address())
        .find_map(|log| JobOpened::decode_log(&log.inner).ok().map(|opened| (log, opened)))
        .ok_or_else(|| Failure::refused(format!("transaction {tx} was mined without an order: check --market")))?;
    let job_id = JobId(opened.id);
    // The order stands whether or not the node can tell when.
    let ordered = market.time_of(log).await.ok();
    Ok(Placed {
        job_id,
        offer_id: order.offer,
        customer,
        gpus: order.gpus,
        seconds: opened.duration,
        price: U256::from(job_id.price()),
        token,
        deposited: job_id.deposit(opened.duration),
        start_deadline: ordered.map_or(0, |ordered| start_deadline(ordered, &offer)),
        salt: order.salt,
        tx,
        block: receipt.block_number.unwrap_or_default(),
        evidence: card.and_then(|card| card.evidence_of(job_id)),
    })
}

async fn check_not_sent(market: &MarketClient, customer: Address, order: &OrderDraft) -> Result<(), Failure> {
    // Asked first: what is mined in between is in the logs.
    if market.waits().await? {
        return Err(Failure::refused(format!(
            "a transaction of {customer} waits for its block, and it may be the same order: try again once it is mined"
        )));
    }
    match market.ordered_with(customer, order.offer, order.salt.into()).await? {
        None => Ok(()),
        Some(job) => Err(Failure::refused(format!(
            "an order from this offer with this salt was placed already, as job {job}: follow it with `hawser watch`, or order again with another --salt"
        ))),
    }
}

/// Last second at which an order of this second can be started.
fn start_deadline(ordered: u64, offer: &Offer) -> u64 {
    ordered.saturating_add(u64::from(offer.terms.startWindow))
}

/// The limit that protects the customer when the provider raises its price just before the order is mined.
fn max_price(order: &OrderDraft, offer: &Offer, token: &Token) -> Result<u128, Failure> {
    let Some(text) = &order.max_price else { return Ok(offer.price) };
    let units =
        token.parse_units(&text.0).map_err(|problem| Failure::input(format!("the highest price: {problem}")))?;
    u128::try_from(units)
        .map_err(|_| Failure::input(format!("the highest price {} is beyond what a market holds", text.0)))
}
