//! The price of gas that a mined transaction paid.

use alloy::{
    primitives::{B256, U128},
    providers::{Provider, RootProvider},
    transports::TransportResult,
};
use serde::Deserialize;

use crate::methods;

/// Of a transaction of whatever type: chains have types of their own.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Priced {
    gas_price: Option<U128>,
}

/// Wei that a mined transaction paid for a unit of gas. Receipts of old clients don't tell.
///
/// # Errors
/// Where no endpoint says.
pub async fn gas_price_of(provider: &RootProvider, tx: B256) -> TransportResult<Option<u128>> {
    let told: Option<Priced> = provider.raw_request(methods::TRANSACTION.into(), (tx,)).await?;
    Ok(told.and_then(|priced| priced.gas_price).map(|price| price.to()))
}
