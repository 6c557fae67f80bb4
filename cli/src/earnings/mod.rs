//! What a provider earned: claims, withdrawals and what they add up to.

mod fee_split;
mod reader;
#[cfg(test)]
mod tests;
mod totals;
mod view;

use alloy::primitives::{Address, B256, U256};
use hawser_market::{JobId, OfferId, Token};
use serde::Serialize;

pub(crate) use reader::Reader;
pub(crate) use totals::{Group, GroupBy, Sum, Totals};
pub(crate) use view::{Statement, group_csv};

use crate::job::decimal;

/// One job's line of a claim. Amounts are in the token's smallest unit, the gas is in wei.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Claim {
    pub(crate) time: u64,
    pub(crate) block: u64,
    pub(crate) offer_id: OfferId,
    pub(crate) job_id: JobId,
    /// What is new with it.
    #[serde(flatten)]
    pub(crate) sum: Sum,
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
