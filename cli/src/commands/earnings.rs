//! `hawser earnings`: what a provider earned, from the chain alone.

use std::ops::ControlFlow;

use alloy::primitives::Address;

use crate::{
    args::EarningsArgs,
    chain::MarketClient,
    earnings::{Claim, Reader, Statement, Totals, group_csv},
    failure::Failure,
    output::{self, Format, progress},
};

pub(crate) async fn run(
    market: &MarketClient,
    provider: Address,
    args: &EarningsArgs,
    format: Format,
) -> Result<(), Failure> {
    let mut reader = Reader::open(market, provider, args.to_block).await?;
    let mut totals = Totals::new(args.by, reader.tokens());
    let mut claims = Vec::new();
    let (lines, list) = match (args.by, args.csv) {
        (Some(_), _) => (false, false),
        (None, true) => (true, false),
        (None, false) => (false, true),
    };
    if lines && output::line(Claim::CSV)?.is_break() {
        return Ok(());
    }
    let mut unread = false;
    let each = |claim: Claim| {
        totals.add(&claim);
        if lines {
            let flow = output::line(&claim.csv())?;
            unread = flow.is_break();
            return Ok(flow);
        }
        if list {
            claims.push(claim);
        }
        Ok(ControlFlow::Continue(()))
    };
    reader.claims(each).await?;
    if unread {
        return Ok(());
    }
    let statement = close(market, &reader, totals, list.then_some(claims)).await?;
    match (args.csv, &statement.groups) {
        (true, Some(groups)) => _ = output::line(&group_csv(groups))?,
        (true, None) => {}
        (false, _) => output::print(format, &statement)?,
    }
    if args.csv {
        progress(statement.summary());
    }
    progress("use that was not claimed yet is not in this: until it is claimed, only the attestors know of it");
    warn(market, &statement).await
}

/// Adds withdrawals and credit to what was claimed.
async fn close(
    market: &MarketClient,
    reader: &Reader<'_>,
    mut totals: Totals,
    claims: Option<Vec<Claim>>,
) -> Result<Statement, Failure> {
    let withdrawals = reader.withdrawals().await?;
    for one in &withdrawals {
        totals.withdraw(one);
    }
    for (token, total) in &mut totals.per_token {
        match market.credit_after(reader.provider, *token, reader.period.to).await? {
            Some(credit) => total.close(credit, true),
            None => total.close(market.credit(reader.provider, *token).await?, false),
        }
    }
    let (groups, totals, gas) = totals.finish();
    Ok(Statement {
        provider: reader.provider,
        from_block: reader.period.from,
        to_block: reader.period.to,
        from_first_block: reader.from_first_block,
        claims,
        groups,
        withdrawals,
        totals,
        gas,
    })
}

/// Says where what was earned is not what was taken out and what is left, and why that may be.
async fn warn(market: &MarketClient, statement: &Statement) -> Result<(), Failure> {
    let to = statement.to_block;
    if statement.totals.iter().any(|total| total.balanced.is_none()) {
        progress(format!(
            "warning: the node doesn't keep the credit of block {to}: the credit shown is today's, and was not compared"
        ));
    }
    let differing = statement.totals.iter().filter(|total| total.balanced == Some(false)).collect::<Vec<_>>();
    if differing.is_empty() {
        return Ok(());
    }
    let why = why(market, statement).await?;
    for total in differing {
        let token = &total.token;
        progress(format!(
            "warning: net is {}, but {} were withdrawn and {} stand as credit after block {to}: {why}",
            token.show(total.sum.net),
            token.show(total.withdrawn),
            token.show(total.credit),
        ));
    }
    Ok(())
}

/// Why what was earned may not be what was taken out and what is left.
async fn why(market: &MarketClient, statement: &Statement) -> Result<String, Failure> {
    if !statement.from_first_block {
        return Ok(format!(
            "block {} is later than the market's first one, and what happened before is missing: begin earlier \
             (--from-block, HAWSER_FROM_BLOCK) for totals that add up",
            statement.from_block
        ));
    }
    let mut also = Vec::new();
    if !market.jobs_of(statement.provider).await?.is_empty() {
        also.push("ordered jobs");
    } else if market.paid_for_others(statement.provider).await? {
        also.push("paid for others' jobs");
    }
    if !market.tokens_deposited_for(statement.provider).await?.is_empty() {
        also.push("was sent deposits");
    }
    Ok(match also[..] {
        [] => "the node left events out: ask another one (--rpc-url)".to_owned(),
        _ => format!("this account also {}, which is credit of the same kind", also.join(" and ")),
    })
}
