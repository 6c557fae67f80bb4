//! `hawser withdraw`: sends credit out of the market.

use std::collections::BTreeSet;

use alloy::{
    primitives::{Address, B256, U256},
    sol_types::SolEvent,
};
use hawser_contracts::ComputeMarket::Withdrawn;
use hawser_market::Token;
use serde::Serialize;

use super::jobs::tell_of_the_past;
use crate::{
    chain::MarketClient,
    failure::Failure,
    job::decimal,
    output::{Printable, columns, progress},
};

/// Credit that left the market.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Withdrawal {
    #[serde(serialize_with = "decimal")]
    amount: U256,
    token: Token,
    to: Address,
    tx: B256,
}

impl Printable for Vec<Withdrawal> {
    fn table(&self) -> String {
        columns(
            ["AMOUNT", "TO", "TRANSACTION"],
            self.iter().map(|one| [one.token.show(one.amount), one.to.to_string(), one.tx.to_string()]),
        )
    }
}

/// What was withdrawn, and whether all of it was: a token that fails keeps no other back.
pub(crate) async fn run(
    market: &MarketClient,
    token: Option<Address>,
    to: Option<Address>,
) -> Result<(Vec<Withdrawal>, Result<(), Failure>), Failure> {
    let me = market.me()?;
    let to = match to {
        Some(to) => to,
        None => market.payout_of(me).await?.unwrap_or(me),
    };
    let tokens = match token {
        Some(token) => return Ok((vec![withdraw(market, token, to).await?], Ok(()))),
        None => with_credit(market, me).await?,
    };
    let mut withdrawals = Vec::new();
    let (mut failed, mut drafted) = (Vec::new(), false);
    for address in &tokens {
        match withdraw(market, *address, to).await {
            Ok(done) => {
                progress(format!("withdrew {} in transaction {}", done.token.show(done.amount), done.tx));
                withdrawals.push(done);
            }
            Err(Failure::Drafted) => drafted = true,
            Err(failure) => {
                progress(format!("the credit in token {address} stays: {failure}"));
                failed.push(address.to_string());
            }
        }
    }
    if drafted && failed.is_empty() {
        return Err(Failure::Drafted);
    }
    let verdict = if failed.is_empty() {
        Ok(())
    } else {
        let (n, of, which) = (failed.len(), tokens.len(), failed.join(", "));
        Err(Failure::refused(format!("{n} of {of} withdrawals failed, those of {which}: the reasons are above")))
    };
    Ok((withdrawals, verdict))
}

async fn withdraw(market: &MarketClient, address: Address, to: Address) -> Result<Withdrawal, Failure> {
    let token = market.token(address).await?;
    let call = market.contract().withdraw(address, to, U256::MAX).calldata().clone();
    let receipt = market.send(market.address(), call, Some(&token)).await?.receipt;
    let withdrawn = receipt.logs().iter().find_map(|log| Withdrawn::decode_log(&log.inner).ok());
    let amount = withdrawn.map(|log| log.amount).unwrap_or_default();
    Ok(Withdrawal { amount, token, to, tx: receipt.transaction_hash })
}

/// Tokens in which the account has credit, of those that offers are in or that somebody deposited for it.
async fn with_credit(market: &MarketClient, me: Address) -> Result<Vec<Address>, Failure> {
    tell_of_the_past(market, "tokens of offers from before it").await;
    let mut tokens: BTreeSet<Address> = market.offers().await?.iter().map(|offer| offer.terms.token).collect();
    tokens.extend(market.tokens_deposited_for(me).await?);
    let mut found = Vec::new();
    for token in tokens {
        if !market.credit(me, token).await?.is_zero() {
            found.push(token);
        }
    }
    if found.is_empty() {
        return Err(Failure::refused(format!(
            "{me} has no credit in any token of this market's offers: there is nothing to withdraw"
        )));
    }
    Ok(found)
}
