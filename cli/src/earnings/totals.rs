//! Claims added up.

use std::collections::BTreeMap;

use alloy::primitives::{Address, U256};
use clap::ValueEnum;
use hawser_market::{JobId, OfferId, Token};
use serde::Serialize;

use super::{Claim, Withdrawal};
use crate::job::decimal;

/// What claims are added up by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum GroupBy {
    /// One line per job
    Job,
    /// One line per offer
    Offer,
    /// One line per token
    Token,
}

/// What was claimed, of one job or of many. Amounts are in one token's smallest unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Sum {
    pub(crate) gpu_seconds: u64,
    /// Fee included.
    #[serde(serialize_with = "decimal")]
    pub(crate) paid: U256,
    #[serde(serialize_with = "decimal")]
    pub(crate) fee: U256,
    /// What the provider got: `paid - fee`.
    #[serde(serialize_with = "decimal")]
    pub(crate) net: U256,
}

impl Sum {
    fn add(&mut self, other: Self) {
        self.gpu_seconds = self.gpu_seconds.saturating_add(other.gpu_seconds);
        self.paid = self.paid.saturating_add(other.paid);
        self.fee = self.fee.saturating_add(other.fee);
        self.net = self.net.saturating_add(other.net);
    }
}

/// Claims that belong together. Amounts are in the token's smallest unit, the gas is in wei.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Group {
    pub(crate) offer_id: Option<OfferId>,
    pub(crate) job_id: Option<JobId>,
    pub(crate) token: Token,
    /// How many lines of claims.
    pub(crate) claims: u64,
    /// Time of the first claim.
    pub(crate) first: u64,
    /// Time of the last claim.
    pub(crate) last: u64,
    #[serde(flatten)]
    pub(crate) sum: Sum,
    #[serde(serialize_with = "decimal")]
    pub(crate) gas: U256,
}

impl Group {
    fn new(by: GroupBy, first: &Claim) -> Self {
        Self {
            offer_id: (by != GroupBy::Token).then_some(first.offer_id),
            job_id: (by == GroupBy::Job).then_some(first.job_id),
            token: first.token.clone(),
            claims: 0,
            first: first.time,
            last: first.time,
            sum: Sum::default(),
            gas: U256::ZERO,
        }
    }

    fn add(&mut self, claim: &Claim) {
        self.claims += 1;
        self.last = claim.time;
        self.sum.add(claim.sum);
        self.gas = self.gas.saturating_add(claim.gas);
    }
}

/// A token's account. Amounts are in its smallest unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Total {
    pub(crate) token: Token,
    pub(crate) claims: u64,
    #[serde(flatten)]
    pub(crate) sum: Sum,
    #[serde(serialize_with = "decimal")]
    pub(crate) withdrawn: U256,
    /// What the market owes the provider after the last block.
    #[serde(serialize_with = "decimal")]
    pub(crate) credit: U256,
    /// Whether `net = withdrawn + credit`; none where the node doesn't keep the credit of that block.
    pub(crate) balanced: Option<bool>,
}

impl Total {
    pub(crate) fn new(token: Token) -> Self {
        Self { token, claims: 0, sum: Sum::default(), withdrawn: U256::ZERO, credit: U256::ZERO, balanced: None }
    }

    /// Sets the credit that stands, and compares where it is that of the last block.
    pub(crate) fn close(&mut self, credit: U256, of_last_block: bool) {
        self.credit = credit;
        self.balanced = of_last_block.then(|| self.withdrawn.checked_add(credit) == Some(self.sum.net));
    }
}

/// Gas of one sender, in wei.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Gas {
    pub(crate) paid_by: Address,
    #[serde(serialize_with = "decimal")]
    pub(crate) amount: U256,
}

/// All totals of one reading.
#[derive(Debug)]
pub(crate) struct Totals {
    by: Option<GroupBy>,
    groups: BTreeMap<(Option<OfferId>, Option<JobId>, Address), Group>,
    pub(crate) per_token: BTreeMap<Address, Total>,
    gas: BTreeMap<Address, U256>,
}

impl Totals {
    /// Tokens without a claim have a total too.
    pub(crate) fn new<'a>(by: Option<GroupBy>, tokens: impl Iterator<Item = &'a Token>) -> Self {
        let per_token = tokens.map(|token| (token.address, Total::new(token.clone()))).collect();
        Self { by, groups: BTreeMap::new(), per_token, gas: BTreeMap::new() }
    }

    pub(crate) fn add(&mut self, claim: &Claim) {
        if let Some(by) = self.by {
            let group = Group::new(by, claim);
            self.groups.entry((group.offer_id, group.job_id, group.token.address)).or_insert(group).add(claim);
        }
        let total = self.per_token.entry(claim.token.address).or_insert_with(|| Total::new(claim.token.clone()));
        total.claims += 1;
        total.sum.add(claim.sum);
        let gas = self.gas.entry(claim.gas_paid_by).or_default();
        *gas = gas.saturating_add(claim.gas);
    }

    pub(crate) fn withdraw(&mut self, withdrawal: &Withdrawal) {
        let token = &withdrawal.token;
        let total = self.per_token.entry(token.address).or_insert_with(|| Total::new(token.clone()));
        total.withdrawn = total.withdrawn.saturating_add(withdrawal.amount);
    }

    /// Groups, totals and gas.
    pub(crate) fn finish(self) -> (Option<Vec<Group>>, Vec<Total>, Vec<Gas>) {
        let gas = self.gas.into_iter().map(|(paid_by, amount)| Gas { paid_by, amount });
        let groups = self.by.map(|_| self.groups.into_values().collect());
        (groups, self.per_token.into_values().collect(), gas.collect())
    }
}
