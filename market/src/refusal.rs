//! Every refusal of the market in words: what was asked, what the limit is, and the way out.
//!
//! Whoever posts an offer has another way out than whoever orders from it: [`Audience`] says who reads.

use alloy::{
    primitives::{Address, B256, FixedBytes, U256},
    sol,
    sol_types::{Panic, Revert, SolError, SolInterface},
};
use hawser_contracts::ComputeMarket::{ComputeMarketErrors as Refusal, WrongStatus};

use crate::{
    JobId, JobStatus, OfferId, Token,
    text::{printable, time},
};

/// Who reads why a call was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Whoever orders: the way out is another order.
    Customer,
    /// Whoever sells: the way out is another offer, floor or key.
    Provider,
}

sol! {
    /// ERC-6093: what a token says that refuses a transfer.
    interface TokenRefusal {
        error ERC20InsufficientBalance(address sender, uint256 balance, uint256 needed);
        error ERC20InsufficientAllowance(address spender, uint256 allowance, uint256 needed);
        error ERC20InvalidSender(address sender);
        error ERC20InvalidReceiver(address receiver);
        error ERC20InvalidApprover(address approver);
        error ERC20InvalidSpender(address spender);
    }
}

/// Says why a call was reverted. Prices and amounts are in `token` if it is known, else in smallest units.
pub fn in_words(data: &[u8], token: Option<&Token>, audience: Audience) -> String {
    let amounts = Amounts(token);
    if let Ok(error) = Refusal::abi_decode(data) {
        return match of_market(&error, amounts, audience) {
            Some(words) => format!("{words} ({})", name(data)),
            None => format!("the market refused with {}, which this version of hawser can't explain", name(data)),
        };
    }
    if let Ok(error) = TokenRefusal::TokenRefusalErrors::abi_decode(data) {
        return token_in_words(&error, amounts);
    }
    if let Ok(Revert { reason }) = Revert::abi_decode(data) {
        return format!("the contract refused: {}", printable(&shortened(&reason)));
    }
    if let Ok(panic) = Panic::abi_decode(data) {
        return format!("the contract failed ({panic}): this is a fault of the contract, please report it");
    }
    if data.is_empty() {
        return "the contract refused without a reason: check --market, and that the token is a plain ERC-20"
            .to_owned();
    }
    let cut = if data.len() > MAX_RAW { "..." } else { "" };
    format!(
        "the contract refused with {}{cut}, which this version of hawser doesn't know",
        alloy::hex::encode_prefixed(&data[..data.len().min(MAX_RAW)])
    )
}

/// Most bytes of an error that nobody understands, and most characters of a contract's own words, that a person is shown.
const MAX_RAW: usize = 68;
const MAX_WORDS: usize = 400;

fn shortened(words: &str) -> String {
    words.chars().take(MAX_WORDS).collect()
}

/// Whether a call was reverted for a rule of the market, and not because of a token.
pub fn is_of_market(data: &[u8]) -> bool {
    Refusal::abi_decode(data).is_ok_and(|error| !matches!(error, Refusal::SafeERC20FailedOperation(_)))
}

fn name(data: &[u8]) -> &'static str {
    data.first_chunk().and_then(|selector| Refusal::name_by_selector(*selector)).unwrap_or("unknown error")
}

/// How amounts are said.
#[derive(Clone, Copy)]
struct Amounts<'a>(Option<&'a Token>);

impl Amounts<'_> {
    fn say(self, units: U256) -> String {
        self.0.map_or_else(|| format!("{units} units"), |token| token.show(units))
    }

    fn price(self, units: U256) -> String {
        format!("{} per GPU-hour", self.say(units))
    }
}

fn job(id: B256) -> JobId {
    JobId(id)
}

fn offer(id: FixedBytes<12>) -> OfferId {
    OfferId(id)
}

fn seconds(at: U256) -> String {
    time(at.saturating_to())
}

fn of_market(error: &Refusal, amounts: Amounts<'_>, audience: Audience) -> Option<String> {
    let own = match audience {
        Audience::Customer => None,
        Audience::Provider => offers(error, amounts),
    };
    own.or_else(|| orders(error, amounts))
        .or_else(|| jobs(error))
        .or_else(|| money(error, amounts))
        .or_else(|| provider(error, amounts))
}

/// What reads otherwise for the offer's own provider.
fn offers(error: &Refusal, amounts: Amounts<'_>) -> Option<String> {
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
fn orders(error: &Refusal, amounts: Amounts<'_>) -> Option<String> {
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
fn jobs(error: &Refusal) -> Option<String> {
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

/// What credit, tokens and the fee may say.
fn money(error: &Refusal, amounts: Amounts<'_>) -> Option<String> {
    Some(match error {
        Refusal::TransferMismatch(e) => format!(
            "the token {} moved {} where {} were asked for (a fee on transfer, or rebasing): the market can't take it, choose an offer in another token",
            e.token,
            amounts.say(e.received),
            amounts.say(e.expected)
        ),
        Refusal::SafeERC20FailedOperation(e) => format!(
            "the token {} refused the transfer: check your balance, and whether the token has blocked an address",
            e.token
        ),
        Refusal::NothingToWithdraw(e) => format!(
            "{} has no credit in the token {}, or the market has nothing left of it: there is nothing to withdraw until \
             something is refunded or earned",
            e.account, e.token
        ),
        Refusal::PayoutOnly(e) => format!(
            "{} is a provider, whose earnings go to its payout address {} only, not to {}: leave --to out",
            e.provider, e.payout, e.asked
        ),
        Refusal::FeeTooHigh(e) => {
            format!(
                "a fee of {} hundredths of a percent is above the market's cap of {}: choose a lower one",
                e.bps, e.limit
            )
        }
        Refusal::ZeroFeeSink(_) => {
            "a fee needs someone to receive it: name a sink that is not the zero address".to_owned()
        }
        Refusal::AddressEmptyCode(e) => format!("there is no contract at {}: check the token's address", e.target),
        Refusal::FailedCall(_) => {
            "a call inside the market's failed without a reason: check that the token is a plain ERC-20".to_owned()
        }
        Refusal::ReentrancyGuardReentrantCall(_) => {
            "the token called the market back in the middle of a transfer, which is refused: use another token"
                .to_owned()
        }
        _ => return None,
    })
}

/// What providers and the market's owner may hear.
fn provider(error: &Refusal, amounts: Amounts<'_>) -> Option<String> {
    Some(match error {
        Refusal::NotOperator(e) => format!(
            "{} is neither the provider {} nor its operator: use their key, or let the provider name another (`hawser provider set`)",
            e.caller, e.provider
        ),
        Refusal::UnknownProvider(e) => {
            format!("{} is no provider yet: call `hawser provider set` with its cold key first", e.provider)
        }
        Refusal::ZeroPayout(_) => "earnings must go somewhere: name a payout address that is not zero".to_owned(),
        Refusal::TermsMismatch(e) => {
            format!("the offer {} exists with other terms: choose another salt for yours", offer(e.offerId))
        }
        Refusal::InvalidDurations(e) => format!(
            "durations from {} to {} seconds make no offer: the longest must be above 0, not below the shortest, and at most {}",
            e.minDuration, e.maxDuration, e.limit
        ),
        Refusal::WindowTooLong(e) => {
            format!("a window of {} seconds is longer than the market allows: choose at most {}", e.window, e.limit)
        }
        Refusal::WindowTooShort(e) => {
            format!(
                "a claim window of {} seconds is shorter than the market allows: choose at least {}",
                e.window, e.limit
            )
        }
        Refusal::PriceTooHigh(e) => format!(
            "a price of {} is more than the market can hold: choose at most {}",
            amounts.price(e.price),
            amounts.price(e.limit)
        ),
        Refusal::OwnableUnauthorizedAccount(e) => {
            format!("{} is not the market's owner, who alone may do this: use the owner's key", e.account)
        }
        Refusal::OwnableInvalidOwner(e) => format!("{} can't own the market: name another account", e.owner),
        Refusal::InvalidShortString(_) | Refusal::StringTooLong(_) => {
            "the market was deployed with a name that it can't hold: deploy it again".to_owned()
        }
        _ => return None,
    })
}

fn token_in_words(error: &TokenRefusal::TokenRefusalErrors, amounts: Amounts<'_>) -> String {
    use TokenRefusal::TokenRefusalErrors as E;
    let refused = |what: &str, address: Address| format!("the token refuses {address} as {what}: use another account");
    match error {
        E::ERC20InsufficientBalance(e) => format!(
            "{} has {} and needs {}: get tokens, or buy fewer seconds or GPUs",
            e.sender,
            amounts.say(e.balance),
            amounts.say(e.needed)
        ),
        E::ERC20InsufficientAllowance(e) => format!(
            "{} may take {} and needs {}: the allowance was used by something else in between, try again",
            e.spender,
            amounts.say(e.allowance),
            amounts.say(e.needed)
        ),
        E::ERC20InvalidSender(e) => refused("sender", e.sender),
        E::ERC20InvalidReceiver(e) => refused("receiver", e.receiver),
        E::ERC20InvalidApprover(e) => refused("approver", e.approver),
        E::ERC20InvalidSpender(e) => refused("spender", e.spender),
    }
}

#[cfg(test)]
mod tests {
    use alloy::sol_types::SolInterface;
    use hawser_contracts::ComputeMarket::{PriceAboveMax, TokenRefused};

    use super::*;

    #[test]
    fn every_error_of_the_abi_is_explained() {
        for selector in Refusal::selectors() {
            let mut data = selector.to_vec();
            // Zeros are a value of every argument that the errors have; a dynamic one begins with where it is.
            data.extend([0; 32 * 8]);
            if Refusal::name_by_selector(selector) == Some("StringTooLong") {
                data[35] = 32;
            }
            let name = Refusal::name_by_selector(selector).unwrap();
            let error = Refusal::abi_decode(&data).unwrap_or_else(|error| panic!("{name}: {error}"));
            for audience in [Audience::Customer, Audience::Provider] {
                let words = of_market(&error, Amounts(None), audience);
                let words = words.unwrap_or_else(|| panic!("{name} is not explained"));
                assert!(words.contains(':'), "{name} shows no way out: {words}");
                assert!(in_words(&data, None, audience).ends_with(&format!("({name})")), "{name}");
            }
        }
    }

    #[test]
    fn a_refusal_names_the_values_in_whole_tokens() {
        let usd = Token { address: Address::ZERO, symbol: "USDC".to_owned(), decimals: 6 };
        let error = PriceAboveMax { price: U256::from(2_500_000), maxPrice: U256::from(2_250_000) };
        assert_eq!(
            in_words(&error.abi_encode(), Some(&usd), Audience::Customer),
            "the offer's price is 2.5 USDC per GPU-hour now, above the 2.25 USDC per GPU-hour that you accept: raise \
             --max-price, or take another offer (PriceAboveMax)"
        );
    }

    #[test]
    fn what_is_no_error_of_the_market_is_said_as_it_is() {
        let reverted = Revert { reason: "Pausable: paused".to_owned() };
        let said = |data: &[u8]| in_words(data, None, Audience::Customer);
        assert_eq!(said(&reverted.abi_encode()), "the contract refused: Pausable: paused");
        assert!(said(&[]).contains("without a reason"));
        assert!(said(&[1, 2, 3, 4]).contains("0x01020304, which"));
        assert!(said(&[7; 10_000]).len() < 300 && said(&[7; 69]).contains("07..., which"));
    }

    #[test]
    fn a_provider_hears_what_it_can_do_itself() {
        let error = TokenRefused { provider: Address::ZERO, token: Address::repeat_byte(1) }.abi_encode();
        assert!(in_words(&error, None, Audience::Customer).contains("take an offer in another token"));
        assert!(in_words(&error, None, Audience::Provider).contains("call setFloor with its key"));
    }
}
