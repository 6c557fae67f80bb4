//! Refusals of orders that are signed, or placed by others than their customer.

use hawser_contracts::ComputeMarket::ComputeMarketErrors as Refusal;

use super::{Amounts, seconds};

pub(super) fn delegated(error: &Refusal, amounts: Amounts<'_>) -> Option<String> {
    signed(error, amounts).or_else(|| by_delegates(error, amounts))
}

/// What an order may hear that its customer signed.
fn signed(error: &Refusal, amounts: Amounts<'_>) -> Option<String> {
    Some(match error {
        Refusal::ZeroAccount(_) => {
            "nobody is the zero address, and what is credited to it is lost: name another account".to_owned()
        }
        Refusal::OrderExpired(e) => {
            format!("the order could be placed until {}: place a new one with a later deadline", seconds(e.deadline))
        }
        Refusal::SpecMismatch(e) => format!(
            "the workload's text has the hash {} and the order says {}: send the text that was ordered, byte for byte",
            e.hashOfText, e.specHash
        ),
        Refusal::BadOrderSignature(e) => format!(
            "the signature is not {}'s for the order with digest {}: sign it for this market, chain and order",
            e.customer, e.digest
        ),
        Refusal::SaltUsed(e) => format!(
            "a signed order of {} with the salt {} was placed or cancelled already: sign one with another salt",
            e.customer, e.salt
        ),
        Refusal::CreditTooLow(e) => format!(
            "account {} has {} of credit in the token {} and needs {}: deposit more for it",
            e.account,
            amounts.in_tokens(e.credit),
            e.token,
            amounts.in_tokens(e.asked)
        ),
        _ => return None,
    })
}

/// What a delegate may hear.
fn by_delegates(error: &Refusal, amounts: Amounts<'_>) -> Option<String> {
    Some(match error {
        Refusal::DelegationTooHigh(e) => {
            format!("there is no delegation {}: their numbers go up to {}", e.delegation, e.limit)
        }
        Refusal::NotPrincipal(e) => format!(
            "delegation {} is not of account {}: name its principal as customer, or another delegation",
            e.delegation, e.account
        ),
        Refusal::NotDelegate(e) => format!(
            "{} is not the delegate of delegation {}, or it has ended: use its key, or let the principal renew it",
            e.caller, e.delegation
        ),
        Refusal::OtherToken(e) => format!(
            "delegation {} spends the token {} and this costs {}: use another delegation or offer",
            e.delegation, e.token, e.asked
        ),
        Refusal::LimitExceeded(e) => format!(
            "with this, {} would be spent today by delegation {}, whose limit is {}: wait for the next day of UTC, or let \
             the principal raise it",
            amounts.in_tokens(e.spent),
            e.delegation,
            amounts.in_tokens(e.limit)
        ),
        Refusal::TooManyDelegations(e) => {
            format!("the market has room for {} delegations: change one that there is", e.limit)
        }
        _ => return None,
    })
}
