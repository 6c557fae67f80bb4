//! What a provider earned: claims, withdrawals and what they add up to.

mod reader;
mod split;
mod sums;
mod view;

use alloy::primitives::{Address, B256, U256};
use hawser_contracts::{JobId, OfferId};
use serde::Serialize;

pub(crate) use reader::Reader;
pub(crate) use sums::{By, Group, Sums};
pub(crate) use view::{Statement, group_csv};

use crate::{job::decimal, token::Token};

/// One job's line of a claim. Amounts are in the token's smallest unit, the gas is in wei.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Claim {
    pub(crate) time: u64,
    pub(crate) block: u64,
    pub(crate) offer_id: OfferId,
    pub(crate) job_id: JobId,
    /// Newly claimed.
    pub(crate) gpu_seconds: u64,
    /// Newly paid, fee included.
    #[serde(serialize_with = "decimal")]
    pub(crate) paid: U256,
    #[serde(serialize_with = "decimal")]
    pub(crate) fee: U256,
    /// What the provider got: `paid - fee`.
    #[serde(serialize_with = "decimal")]
    pub(crate) net: U256,
    pub(crate) token: Token,
    pub(crate) tx: B256,
    /// This line's part of the transaction's gas.
    #[serde(serialize_with = "decimal")]
    pub(crate) gas: U256,
    /// Who sent the transaction: anybody can claim for a provider.
    pub(crate) gas_paid_by: Address,
}

/// Credit that the provider took out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Withdrawal {
    pub(crate) time: u64,
    pub(crate) block: u64,
    #[serde(serialize_with = "decimal")]
    pub(crate) amount: U256,
    pub(crate) token: Token,
    pub(crate) to: Address,
    pub(crate) tx: B256,
}
