//! Every refusal of the market in words: what was asked, what the limit is, and the way out.
//!
//! Whoever posts an offer has another way out than whoever orders from it: [`Audience`] says who reads.

mod delegated;
mod money;
mod orders;

use alloy::{
    primitives::{B256, FixedBytes, U256},
    sol_types::{Panic, Revert, SolError, SolInterface},
};
use hawser_contracts::ComputeMarket::ComputeMarketErrors as Refusal;

use self::{
    delegated::delegated,
    money::{TokenRefusal, money, provider, token_in_words},
    orders::{jobs, offers, orders},
};
use crate::{
    JobId, OfferId, Token,
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

/// How amounts are written.
#[derive(Clone, Copy)]
struct Amounts<'a>(Option<&'a Token>);

impl Amounts<'_> {
    fn in_tokens(self, units: U256) -> String {
        self.0.map_or_else(|| format!("{units} units"), |token| token.show(units))
    }

    fn price(self, units: U256) -> String {
        format!("{} per GPU-hour", self.in_tokens(units))
    }
}

fn job(id: B256) -> JobId {
    JobId(id)
}

fn offer(id: FixedBytes<8>) -> OfferId {
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
        .or_else(|| delegated(error, amounts))
        .or_else(|| money(error, amounts))
        .or_else(|| provider(error, amounts))
}

#[cfg(test)]
mod tests {
    use alloy::{primitives::Address, sol_types::SolInterface};
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
