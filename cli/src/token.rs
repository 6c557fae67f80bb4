//! Amounts of an ERC-20 token: whole tokens for people, smallest units for programs.

use alloy::primitives::{Address, U256};
use serde::Serialize;

/// The token of an offer. Name and decimals are the token's own statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Token {
    pub(crate) address: Address,
    pub(crate) symbol: String,
    pub(crate) decimals: u8,
}

impl Token {
    /// Whole tokens with the symbol, e.g. `2.25 USDC`.
    pub(crate) fn show(&self, units: U256) -> String {
        format!("{} {}", self.whole(units), self.symbol)
    }

    /// Whole tokens as an exact decimal number without trailing zeros.
    pub(crate) fn whole(&self, units: U256) -> String {
        let decimals = usize::from(self.decimals);
        let digits = format!("{:0>width$}", units.to_string(), width = decimals + 1);
        let (whole, fraction) = digits.split_at(digits.len() - decimals);
        let fraction = fraction.trim_end_matches('0');
        if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") }
    }

    /// Smallest units of a decimal number of whole tokens.
    pub(crate) fn units(&self, whole: &str) -> Result<U256, String> {
        let wrong = |why: &str| format!("{whole:?} is not an amount of {}: {why}", self.symbol);
        let (integer, fraction) = whole.split_once('.').unwrap_or((whole, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if (integer.is_empty() && fraction.is_empty()) || !digits(integer) || !digits(fraction) {
            return Err(wrong("expected a decimal number such as 2.25"));
        }
        let fraction = fraction.trim_end_matches('0');
        let decimals = usize::from(self.decimals);
        if fraction.len() > decimals {
            return Err(wrong(&format!("the token has {decimals} decimals")));
        }
        let text = format!("{integer}{fraction:0<decimals$}");
        U256::from_str_radix(&text, 10).map_err(|_| wrong("it is too large"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd() -> Token {
        Token { address: Address::ZERO, symbol: "USDC".to_owned(), decimals: 6 }
    }

    #[test]
    fn units_and_whole_tokens_say_the_same() {
        for (units, whole) in
            [(0_u64, "0"), (1, "0.000001"), (2_250_000, "2.25"), (1_000_000, "1"), (12_345_678_900, "12345.6789")]
        {
            assert_eq!(usd().whole(U256::from(units)), whole);
            assert_eq!(usd().units(whole), Ok(U256::from(units)));
        }
        let whole = Token { decimals: 0, ..usd() };
        assert_eq!(whole.whole(U256::from(25)), "25");
        assert_eq!(whole.units("25"), Ok(U256::from(25)));
    }

    #[test]
    fn an_amount_that_the_token_can_not_hold_is_refused_with_the_reason() {
        assert_eq!(usd().units(".5"), Ok(U256::from(500_000)));
        assert_eq!(usd().units("5.000000000"), Ok(U256::from(5_000_000)));
        let too_fine = usd().units("0.0000001").unwrap_err();
        assert_eq!(too_fine, "\"0.0000001\" is not an amount of USDC: the token has 6 decimals");
        for text in ["", ".", "-1", "1e6", "1,5", "two", " 1", &"9".repeat(90)] {
            assert!(usd().units(text).is_err(), "{text:?}");
        }
    }
}
