//! Earnings for people, programs and spreadsheets.

use alloy::primitives::{Address, U256};
use serde::Serialize;

use super::{
    Claim, Group, Withdrawal,
    totals::{Gas, Total},
};
use hawser_market::{Token, text::rfc3339};

use crate::{
    csv,
    output::{Printable, columns},
};

/// What a provider earned in a period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Statement {
    pub(crate) provider: Address,
    pub(crate) from_block: u64,
    pub(crate) to_block: u64,
    /// The market was deployed in this period: nothing was claimed before it.
    pub(crate) from_first_block: bool,
    /// Each line of each claim; none where they were added up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) claims: Option<Vec<Claim>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) groups: Option<Vec<Group>>,
    pub(crate) withdrawals: Vec<Withdrawal>,
    pub(crate) totals: Vec<Total>,
    /// Gas of the claims by who paid it.
    pub(crate) gas: Vec<Gas>,
}

impl Printable for Statement {
    fn table(&self) -> String {
        let mut parts = Vec::new();
        parts.extend(self.claims.as_deref().map(claims));
        parts.extend(self.groups.as_deref().map(groups));
        if !self.withdrawals.is_empty() {
            parts.push(columns(
                ["WITHDRAWN", "AMOUNT", "TO", "TRANSACTION"],
                self.withdrawals
                    .iter()
                    .map(|one| [rfc3339(one.time), one.token.show(one.amount), one.to.to_string(), one.tx.to_string()]),
            ));
        }
        parts.push(self.summary());
        parts.join("\n\n")
    }
}

impl Statement {
    /// What it all adds up to.
    pub(crate) fn summary(&self) -> String {
        let totals = columns(
            ["TOKEN", "CLAIMS", "GPU-S", "CLAIMED", "FEE", "NET", "WITHDRAWN", "CREDIT"],
            self.totals.iter().map(|total| {
                let token = &total.token;
                [
                    token.symbol.clone(),
                    total.claims.to_string(),
                    total.sum.gpu_seconds.to_string(),
                    token.format_units(total.sum.paid),
                    token.format_units(total.sum.fee),
                    token.format_units(total.sum.net),
                    token.format_units(total.withdrawn),
                    token.format_units(total.credit),
                ]
            }),
        );
        if self.gas.is_empty() {
            return totals;
        }
        let gas = columns(
            ["GAS OF CLAIMS", "PAID BY"],
            self.gas.iter().map(|gas| [coins(gas.amount), gas.paid_by.to_string()]),
        );
        format!("{totals}\n\n{gas}")
    }
}

fn claims(claims: &[Claim]) -> String {
    columns(
        ["TIME", "OFFER", "JOB", "GPU-S", "PAID", "FEE", "NET", "GAS", "TRANSACTION"],
        claims.iter().map(|claim| {
            [
                rfc3339(claim.time),
                claim.offer_id.to_string(),
                claim.job_id.to_string(),
                claim.sum.gpu_seconds.to_string(),
                claim.token.show(claim.sum.paid),
                claim.token.format_units(claim.sum.fee),
                claim.token.format_units(claim.sum.net),
                coins(claim.gas),
                claim.tx.to_string(),
            ]
        }),
    )
}

fn groups(groups: &[Group]) -> String {
    columns(
        ["OF", "CLAIMS", "FIRST", "LAST", "GPU-S", "PAID", "FEE", "NET", "GAS"],
        groups.iter().map(|group| {
            [
                group.of(),
                group.claims.to_string(),
                rfc3339(group.first),
                rfc3339(group.last),
                group.sum.gpu_seconds.to_string(),
                group.token.show(group.sum.paid),
                group.token.format_units(group.sum.fee),
                group.token.format_units(group.sum.net),
                coins(group.gas),
            ]
        }),
    )
}

impl Group {
    fn of(&self) -> String {
        let job = self.job_id.map(|job| job.to_string());
        job.or(self.offer_id.map(|offer| offer.to_string())).unwrap_or(self.token.address.to_string())
    }
}

impl Claim {
    /// The names of [`csv`](Self::csv)'s fields.
    pub(crate) const CSV: &'static str =
        "time,block,tx,offerId,jobId,gpuSeconds,token,symbol,paid,fee,net,gas,gasPaidBy";

    /// One line: whole tokens, and the gas in whole coins of the chain.
    pub(crate) fn csv(&self) -> String {
        let token = &self.token;
        let fields = [
            rfc3339(self.time),
            self.block.to_string(),
            self.tx.to_string(),
            self.offer_id.to_string(),
            self.job_id.to_string(),
            self.sum.gpu_seconds.to_string(),
            token.address.to_string(),
            token.symbol.clone(),
            token.format_units(self.sum.paid),
            token.format_units(self.sum.fee),
            token.format_units(self.sum.net),
            coins(self.gas),
            self.gas_paid_by.to_string(),
        ];
        csv::line(fields.iter().map(String::as_str))
    }
}

/// Groups as CSV: the names of the fields, and a line for each group. Whole tokens, the gas in whole coins.
pub(crate) fn group_csv(groups: &[Group]) -> String {
    let mut lines = vec!["offerId,jobId,token,symbol,claims,first,last,gpuSeconds,paid,fee,net,gas".to_owned()];
    lines.extend(groups.iter().map(|group| {
        let token = &group.token;
        let fields = [
            group.offer_id.map(|id| id.to_string()).unwrap_or_default(),
            group.job_id.map(|id| id.to_string()).unwrap_or_default(),
            token.address.to_string(),
            token.symbol.clone(),
            group.claims.to_string(),
            rfc3339(group.first),
            rfc3339(group.last),
            group.sum.gpu_seconds.to_string(),
            token.format_units(group.sum.paid),
            token.format_units(group.sum.fee),
            token.format_units(group.sum.net),
            coins(group.gas),
        ];
        csv::line(fields.iter().map(String::as_str))
    }));
    lines.join("\n")
}

/// Wei as whole coins of the chain, whatever their name is.
fn coins(wei: U256) -> String {
    Token { address: Address::ZERO, symbol: String::new(), decimals: 18 }.format_units(wei)
}
