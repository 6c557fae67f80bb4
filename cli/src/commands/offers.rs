//! `hawser offers`: what is for sale.

use std::collections::BTreeMap;

use alloy::primitives::{Address, U256};
use hawser_contracts::ComputeMarket;
use hawser_market::{
    OfferId, Token,
    text::{gpu_class, time},
};
use serde::Serialize;

use super::jobs::tell_of_the_past;
use crate::{
    card::Card,
    chain::MarketClient,
    failure::Failure,
    job::decimal,
    output::{Printable, columns},
};

/// One offer. Amounts are in the token's smallest unit, times are Unix seconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OfferView {
    offer_id: OfferId,
    /// Product name, or the hash of one that is longer than 32 bytes.
    gpu: String,
    /// Per GPU-hour.
    #[serde(serialize_with = "decimal")]
    price: U256,
    token: Token,
    /// Most GPUs that one order may ask for.
    available: u16,
    provider: Address,
    valid_until: u64,
    min_seconds: u32,
    max_seconds: u32,
    start_window_seconds: u32,
    claim_window_seconds: u32,
    settled_gpu_seconds: u64,
    #[serde(serialize_with = "decimal")]
    settled: U256,
    /// How its jobs came to their ends.
    counters: Counters,
    /// What its provider says of it; null where its card was posted before the blocks that were looked at.
    card: Option<Card>,
}

/// Jobs by how they came to their ends. Anybody can order, so anybody can raise what is a customer's to choose.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Counters {
    completed: u64,
    declined: u64,
    not_started: u64,
    ended_by_provider: u64,
    ended_by_customer: u64,
}

impl From<&ComputeMarket::Counters> for Counters {
    fn from(counters: &ComputeMarket::Counters) -> Self {
        Self {
            completed: counters.completed.to(),
            declined: counters.declined.to(),
            not_started: counters.notStarted.to(),
            ended_by_provider: counters.endedByProvider.to(),
            ended_by_customer: counters.endedByCustomer.to(),
        }
    }
}

impl OfferView {
    fn new(offer: &ComputeMarket::Offer, token: Token, card: Option<Card>) -> Self {
        let terms = &offer.terms;
        Self {
            offer_id: OfferId(offer.id),
            gpu: gpu_class(&terms.gpuClass),
            price: U256::from(offer.price),
            token,
            available: offer.available,
            provider: terms.provider,
            valid_until: offer.validUntil,
            min_seconds: terms.minDuration,
            max_seconds: terms.maxDuration,
            start_window_seconds: terms.startWindow,
            claim_window_seconds: terms.claimWindow,
            settled_gpu_seconds: offer.settledGpuSeconds,
            settled: offer.settledAmount,
            counters: (&offer.counters).into(),
            card,
        }
    }
}

impl Printable for Vec<OfferView> {
    fn table(&self) -> String {
        columns(
            ["OFFER", "GPU", "PRICE/GPU-HOUR", "AVAILABLE", "PROVIDER", "VALID UNTIL", "SETTLED"],
            self.iter().map(|offer| {
                [
                    offer.offer_id.to_string(),
                    offer.gpu.clone(),
                    offer.token.show(offer.price),
                    offer.available.to_string(),
                    offer.provider.to_string(),
                    time(offer.valid_until),
                    format!("{} GPU-s, {}", offer.settled_gpu_seconds, offer.token.show(offer.settled)),
                ]
            }),
        )
    }

    fn wide(&self) -> String {
        let none = Card::default();
        columns(
            [
                "OFFER",
                "GPU",
                "PRICE/GPU-HOUR",
                "AVAILABLE",
                "SECONDS",
                "CPU / MEMORY / STORAGE PER GPU",
                "GPUS/JOB",
                "IMAGES",
                "TIER",
                "EVIDENCE",
            ],
            self.iter().map(|offer| {
                let card = offer.card.as_ref().unwrap_or(&none);
                [
                    offer.offer_id.to_string(),
                    offer.gpu.clone(),
                    offer.token.show(offer.price),
                    offer.available.to_string(),
                    format!("{} to {}", offer.min_seconds, offer.max_seconds),
                    card.share(),
                    card.gpus_per_job.map_or_else(|| "-".to_owned(), |most| most.to_string()),
                    card.images_taken(),
                    card.tier.clone().unwrap_or_else(|| "-".to_owned()),
                    card.evidence.clone().unwrap_or_else(|| "-".to_owned()),
                ]
            }),
        )
    }
}

/// Offers that take orders now, or all; cheapest first within a GPU.
pub(crate) async fn run(market: &MarketClient, all: bool, with_cards: bool) -> Result<Vec<OfferView>, Failure> {
    let now = market.now().await?;
    let offers = market.offers().await?;
    tell_of_the_past(market, "offers of providers that posted and changed none since").await;
    // They stand in events only, which take long to read on a long chain.
    let cards = if with_cards { market.cards().await? } else { Vec::new() };
    let cards: BTreeMap<OfferId, String> = cards.into_iter().map(|posted| (posted.offer, posted.text)).collect();
    let mut tokens: BTreeMap<Address, Token> = BTreeMap::new();
    let mut views = Vec::new();
    for offer in offers.iter().filter(|offer| all || takes_orders(offer, now)) {
        let address = offer.terms.token;
        let token = match tokens.get(&address) {
            Some(token) => token.clone(),
            // Anybody can post an offer, and one in a token that is none must not hide the others.
            None => match market.token(address).await {
                Ok(token) => token,
                Err(Failure::Unreachable(why)) => return Err(Failure::Unreachable(why)),
                Err(_) => continue,
            },
        };
        tokens.insert(address, token.clone());
        let card = cards.get(&OfferId(offer.id)).map(|text| Card::read(text));
        views.push(OfferView::new(offer, token, card));
    }
    views.sort_by(|a, b| (&a.gpu, a.token.address, a.price).cmp(&(&b.gpu, b.token.address, b.price)));
    Ok(views)
}

fn takes_orders(offer: &ComputeMarket::Offer, now: u64) -> bool {
    offer.available > 0 && offer.validUntil >= now
}
