//! Refusals of orders and of calls about jobs.

use hawser_contracts::ComputeMarket::{ComputeMarketErrors as Refusal, WrongStatus};

use super::{Amounts, job, offer, seconds};
use crate::JobStatus;

/// What reads otherwise for the offer's own provider.
pub(super) fn offers(error: &Refusal, amounts: Amounts<'_>) -> Option<String> {
    Some(match error {
        Refusal::UnknownOffer(e) => {
            format!("offer {} was never posted on this market: post it first", offer(e.offerId))
        }
        Refusal::TextTooLong(e) => {
            format!("the card or reason has {} bytes and the market takes {}: shorten it", e.length, e.limit)
        }
        Refusal::TokenRefused(e) => {
            format!("provider {} takes no orders in token {}: call setFloor with its key", e.provider, e.token)
        }
        Refusal::PriceBelowFloor(e) => format!(
            "the price of {} is below the provider's floor of {}: raise it, or call setFloor with the provider's key",
            amounts.price(e.price),
            amounts.price(e.floor)
        ),
        Refusal::WrongStatus(e) => {
            let status =
                JobStatus::try_from(e.status).map_or_else(|_| e.status.to_string(), |status| status.to_string());
            format!("job {} has status {status}: this can't be done with it any more", job(e.id))
        }
        Refusal::NotOperator(e) => format!(
            "wallet {} is not the operator of provider {}: call setProvider with the provider's key",
            e.caller, e.provider
        ),
        Refusal::UnknownProvider(e) => {
            format!("provider {} is not known to the market: call setProvider with its key", e.provider)
        }
        _ => return None,
    })
}

/// What `hawser order` and `hawser topup` may hear.
pub(super) fn orders(error: &Refusal, amounts: Amounts<'_>) -> Option<String> {
    Some(match error {
        Refusal::UnknownOffer(e) => {
            format!("there is no offer {} on this market: `hawser offers` lists them", offer(e.offerId))
        }
        Refusal::OfferExpired(e) => format!(
            "the offer {} took orders until {}: wait until its provider renews it, or take another (`hawser offers`)",
            offer(e.offerId),
            seconds(e.validUntil)
        ),
        Refusal::GpusUnavailable(e) if e.asked.is_zero() => {
            "the order asks for 0 GPUs: ask for at least one (--gpus)".to_owned()
        }
        Refusal::GpusUnavailable(e) => format!(
            "the order asks for {} GPUs and the offer has {} available: ask for fewer (--gpus), or take another offer",
            e.asked, e.available
        ),
        Refusal::PriceAboveMax(e) => format!(
            "the offer's price is {} now, above the {} that you accept: raise --max-price, or take another offer",
            amounts.price(e.price),
            amounts.price(e.maxPrice)
        ),
        Refusal::DurationOutOfRange(e) => format!(
            "{} seconds in all are outside what the offer sells, {} to {}: choose --seconds so that it fits",
            e.duration, e.minDuration, e.maxDuration
        ),
        Refusal::TextTooLong(e) => format!(
            "the workload is {} bytes long as JSON and the market takes {}: put the details into the image",
            e.length, e.limit
        ),
        Refusal::SpecMissing(e) => format!(
            "the text of the workload with hash {} must be sent along: the order doesn't say that it may be left out",
            e.specHash
        ),
        Refusal::ZeroExtra(e) => {
            format!("nothing would be added to job {}: name at least one second (--seconds)", job(e.id))
        }
        Refusal::JobExists(e) => format!(
            "this very order was placed already, as job {}: follow it with `hawser watch`, or order again with another --salt",
            job(e.id)
        ),
        Refusal::TokenRefused(e) => format!(
            "the provider {} takes no orders in the token {} any more: take an offer in another token",
            e.provider, e.token
        ),
        Refusal::PriceBelowFloor(e) => format!(
            "the offer's price of {} is below its provider's floor of {}: wait until the provider posts it again",
            amounts.price(e.price),
            amounts.price(e.floor)
        ),
        Refusal::StartDeadlinePassed(e) => format!(
            "job {} was not started by its deadline, {}, and can't be any more: take the deposit back (`hawser refund`)",
            job(e.id),
            seconds(e.startDeadline)
        ),
        Refusal::EndAnnounced(e) => format!(
            "the end of job {} is announced for {}, so it can't be prolonged: place a new order",
            job(e.id),
            seconds(e.end)
        ),
        _ => return None,
    })
}

/// What calls about a job that stands on chain may hear.
pub(super) fn jobs(error: &Refusal) -> Option<String> {
    Some(match error {
        Refusal::NotCustomer(e) => format!(
            "job {} was ordered by another account than {}: use the key that ordered it (--keystore)",
            job(e.id),
            e.caller
        ),
        Refusal::WrongStatus(e) => wrong_status(e),
        Refusal::EndNotEarlier(e) => format!(
            "job {} ends at {} anyway, no later than the earliest end that you can ask for, {}: let it run out",
            job(e.id),
            seconds(e.end),
            seconds(e.asked)
        ),
        Refusal::TooLittleGas(e) => format!(
            "{} of gas are left for the offer's verifier, which needs {}: send the call with more gas, or fewer vouchers",
            e.left, e.needed
        ),
        Refusal::LengthMismatch(e) => {
            format!("two lists that belong together have {} and {} entries: give one for each job", e.left, e.right)
        }
        _ => return None,
    })
}

fn wrong_status(error: &WrongStatus) -> String {
    let id = job(error.id);
    match error.status {
        0 => format!("there is no job {id} on this market: check the id and --market"),
        1 => format!(
            "job {id} is not started yet: it can't be ended; if it isn't started in time, `hawser refund` takes everything back"
        ),
        2 => format!("job {id} is running: this can be done before its start only"),
        3 => format!(
            "job {id} has ended: what is not claimed can be taken back with `hawser refund` after the claim window"
        ),
        4 => format!("job {id} is closed: nothing of it is left to change, place a new order"),
        other => format!("job {id} is in state {other}, in which this can't be done: look with `hawser watch`"),
    }
}
