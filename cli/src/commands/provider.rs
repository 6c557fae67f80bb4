//! `hawser provider`: a provider's keys and floors.

use std::collections::{BTreeMap, BTreeSet};

use alloy::{
    primitives::{Address, B256, U256},
    sol_types::SolEvent,
};
use hawser_contracts::ComputeMarket::{FloorSet, ProviderSet};
use hawser_market::{Token, text::gpu_class};
use serde::Serialize;

use crate::{
    chain::{ALL_CLASSES, MarketClient},
    failure::Failure,
    job::decimal,
    output::{Printable, columns, pairs},
};

/// Keys that were set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KeysSet {
    provider: Address,
    /// None where it was revoked.
    operator: Option<Address>,
    payout: Address,
    tx: B256,
}

impl Printable for KeysSet {
    fn table(&self) -> String {
        pairs([
            ("Provider", self.provider.to_string()),
            ("Operator", operator(self.operator)),
            ("Payout", self.payout.to_string()),
            ("Transaction", self.tx.to_string()),
        ])
    }
}

/// A floor that was set: of one GPU class, or of all that have none of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FloorChanged {
    provider: Address,
    /// Product name, or the hash of one that is longer than 32 bytes; none where it holds for all.
    gpu: Option<String>,
    /// Per GPU-hour; 0 where the token is refused, or the class has none of its own.
    #[serde(serialize_with = "decimal")]
    floor: U256,
    token: Token,
    tx: B256,
}

impl Printable for FloorChanged {
    fn table(&self) -> String {
        pairs([
            ("Provider", self.provider.to_string()),
            ("Token", self.token.address.to_string()),
            ("GPU", self.gpu.clone().unwrap_or_else(|| "all without a floor of their own".to_owned())),
            ("Floor", self.text()),
            ("Transaction", self.tx.to_string()),
        ])
    }
}

impl FloorChanged {
    fn text(&self) -> String {
        if self.gpu.is_some() && self.floor.is_zero() {
            return "none of its own".to_owned();
        }
        floor_text(self.floor, &self.token)
    }
}

/// A provider as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProviderView {
    provider: Address,
    /// None where it was revoked.
    operator: Option<Address>,
    payout: Address,
    /// Offers that were ever posted.
    offers: u64,
    /// Tokens for which it set a floor, or posted an offer.
    tokens: Vec<TokenView>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TokenView {
    token: Token,
    /// Per GPU-hour; 0 where the token is refused.
    #[serde(serialize_with = "decimal")]
    floor: U256,
    /// GPU classes with a floor of their own.
    classes: Vec<ClassView>,
    #[serde(serialize_with = "decimal")]
    credit: U256,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ClassView {
    /// Product name, or the hash of one that is longer than 32 bytes.
    gpu: String,
    /// Per GPU-hour.
    #[serde(serialize_with = "decimal")]
    floor: U256,
}

impl Printable for ProviderView {
    fn table(&self) -> String {
        let keys = pairs([
            ("Provider", self.provider.to_string()),
            ("Operator", operator(self.operator)),
            ("Payout", self.payout.to_string()),
            ("Offers", self.offers.to_string()),
        ]);
        if self.tokens.is_empty() {
            return keys;
        }
        let tokens = columns(
            ["TOKEN", "FLOOR", "CREDIT"],
            self.tokens.iter().map(|one| {
                [one.token.address.to_string(), floor_text(one.floor, &one.token), one.token.show(one.credit)]
            }),
        );
        let classes: Vec<_> = self.tokens.iter().flat_map(TokenView::rows).collect();
        if classes.is_empty() {
            return format!("{keys}\n\n{tokens}");
        }
        format!("{keys}\n\n{tokens}\n\n{}", columns(["TOKEN", "GPU", "FLOOR"], classes))
    }
}

impl TokenView {
    fn rows(&self) -> impl Iterator<Item = [String; 3]> {
        self.classes
            .iter()
            .map(|class| [self.token.address.to_string(), class.gpu.clone(), floor_text(class.floor, &self.token)])
    }
}

fn operator(operator: Option<Address>) -> String {
    operator.map_or_else(|| "none".to_owned(), |operator| operator.to_string())
}

fn floor_text(floor: U256, token: &Token) -> String {
    if floor.is_zero() { format!("{} is refused", token.symbol) } else { format!("{} per GPU-hour", token.show(floor)) }
}

fn unless_zero(address: Address) -> Option<Address> {
    (address != Address::ZERO).then_some(address)
}

pub(crate) async fn set(market: &MarketClient, operator: Address, payout: Address) -> Result<KeysSet, Failure> {
    let call = market.contract().setProvider(operator, payout).calldata().clone();
    let receipt = market.send(market.address(), call, None).await?.receipt;
    let tx = receipt.transaction_hash;
    let set = receipt
        .logs()
        .iter()
        .filter(|log| log.address() == market.address())
        .find_map(|log| ProviderSet::decode_log(&log.inner).ok())
        .ok_or_else(|| Failure::refused(format!("transaction {tx} set no keys: check --market")))?;
    Ok(KeysSet { provider: set.provider, operator: unless_zero(set.operator), payout: set.payout, tx })
}

pub(crate) async fn floor(
    market: &MarketClient,
    token: Address,
    class: Option<B256>,
    price: &str,
) -> Result<FloorChanged, Failure> {
    let me = market.me()?;
    // The market keeps a floor for whoever calls: one of the operator's key would change nothing for the provider.
    market.provider_keys(me).await?;
    let token = market.token(token).await?;
    let units = token.parse_units(price).map_err(|problem| Failure::input(format!("the floor: {problem}")))?;
    let price = u128::try_from(units).ok().filter(|price| price >> 80 == 0).ok_or_else(|| {
        Failure::input(format!(
            "the floor {} is above every price that an offer can have: choose a lower one, or 0 to refuse the token",
            token.show(units)
        ))
    })?;
    let call = market.contract().setFloor(token.address, class.unwrap_or(ALL_CLASSES), price).calldata().clone();
    let receipt = market.send(market.address(), call, Some(&token)).await?.receipt;
    let tx = receipt.transaction_hash;
    let set = receipt
        .logs()
        .iter()
        .filter(|log| log.address() == market.address())
        .find_map(|log| FloorSet::decode_log(&log.inner).ok())
        .ok_or_else(|| Failure::refused(format!("transaction {tx} set no floor: check --market")))?;
    let gpu = class.map(|class| gpu_class(&class));
    Ok(FloorChanged { provider: set.provider, gpu, floor: U256::from(set.floor), token, tx })
}

pub(crate) async fn show(market: &MarketClient, provider: Address) -> Result<ProviderView, Failure> {
    let keys = market.provider_keys(provider).await?;
    let offers = market.offers_of(provider).await?;
    let mut classes: BTreeMap<Address, BTreeSet<B256>> = BTreeMap::new();
    for offer in &offers {
        classes.entry(offer.terms.token).or_default();
    }
    for (token, class) in market.floors(provider).await? {
        classes.entry(token).or_default().insert(class);
    }
    let mut tokens = Vec::new();
    for (address, classes) in classes {
        let floor = U256::from(market.floor_of(provider, address, ALL_CLASSES).await?);
        let credit = market.credit(provider, address).await?;
        let classes = own_floors(market, provider, address, floor, classes).await?;
        tokens.push(TokenView { token: market.token_or_units(address).await?, floor, classes, credit });
    }
    Ok(ProviderView {
        provider,
        operator: unless_zero(keys.operator),
        payout: keys.payout,
        offers: offers.len() as u64,
        tokens,
    })
}

/// The floors of classes. One without a floor of its own has that of all.
async fn own_floors(
    market: &MarketClient,
    provider: Address,
    token: Address,
    of_all: U256,
    classes: BTreeSet<B256>,
) -> Result<Vec<ClassView>, Failure> {
    let mut floors = Vec::new();
    for class in classes.into_iter().filter(|class| *class != ALL_CLASSES) {
        let floor = U256::from(market.floor_of(provider, token, class).await?);
        if floor != of_all {
            floors.push(ClassView { gpu: gpu_class(&class), floor });
        }
    }
    Ok(floors)
}
