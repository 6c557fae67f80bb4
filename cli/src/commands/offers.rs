//! `hawser offers`: what is for sale.

use std::collections::BTreeMap;

use alloy::primitives::{Address, U256};
use hawser_contracts::{ComputeMarket, OfferId};
use serde::Serialize;

use crate::{
    chain::Market,
    failure::Failure,
    job::decimal,
    output::{Report, columns},
    text::{gpu_class, time},
    token::Token,
};

/// One offer. Amounts are in the token's smallest unit, times are Unix seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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
    settled_gpu_seconds: u128,
    #[serde(serialize_with = "decimal")]
    settled: U256,
}

impl OfferView {
    fn new(offer: &ComputeMarket::Offer, token: Token) -> Self {
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
        }
    }
}

impl Report for Vec<OfferView> {
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
}

/// Offers that take orders now, or all; cheapest first within a GPU.
pub(crate) async fn run(market: &Market, all: bool) -> Result<Vec<OfferView>, Failure> {
    let now = market.now().await?;
    let offers = market.offers().await?;
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
        views.push(OfferView::new(offer, token));
    }
    views.sort_by(|a, b| (&a.gpu, a.token.address, a.price).cmp(&(&b.gpu, b.token.address, b.price)));
    Ok(views)
}

fn takes_orders(offer: &ComputeMarket::Offer, now: u64) -> bool {
    offer.available > 0 && offer.validUntil >= now
}
