//! Amounts of a token or a coin: whole ones as people write them, smallest units as chains count them.

use std::fmt;

use alloy::primitives::{Address, U256};
use serde::Serialize;

/// A count of a token's or a coin's smallest units.
pub type Units = U256;

/// Digits after the point of a chain's own coin.
pub const COIN_DECIMALS: u8 = 18;

/// Why a text is not an amount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AmountError {
    text: String,
    why: Why,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Why {
    NoNumber,
    TooFine(u8),
    TooLarge,
}

impl fmt::Display for AmountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = &self.text;
        match self.why {
            Why::NoNumber => write!(f, "{text:?} is not an amount: expected a decimal number such as 2.25"),
            Why::TooFine(decimals) => write!(f, "{text:?} has more decimals than the token, which has {decimals}"),
            Why::TooLarge => write!(f, "{text:?} is more than a chain can count"),
        }
    }
}

impl std::error::Error for AmountError {}

/// Smallest units of a decimal number of whole tokens with this many decimals: `2.25` of a token with 6 is 2250000.
pub fn parse_units(text: &str, decimals: u8) -> Result<U256, AmountError> {
    let wrong = |why| AmountError { text: text.chars().take(80).collect(), why };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) {
        return Err(wrong(Why::NoNumber));
    }
    let fraction = fraction.trim_end_matches('0');
    let places = usize::from(decimals);
    if fraction.len() > places {
        return Err(wrong(Why::TooFine(decimals)));
    }
    U256::from_str_radix(&format!("{whole}{fraction:0<places$}"), 10).map_err(|_| wrong(Why::TooLarge))
}

/// Whole tokens as an exact decimal number without trailing zeros.
pub fn format_units(units: U256, decimals: u8) -> String {
    let decimals = usize::from(decimals);
    let digits = format!("{:0>width$}", units.to_string(), width = decimals + 1);
    let (whole, fraction) = digits.split_at(digits.len() - decimals);
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") }
}

/// An ERC-20 token. Symbol and decimals are the token's own statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Token {
    /// Address of the contract.
    pub address: Address,
    /// Its symbol; empty if the contract has none.
    pub symbol: String,
    /// Digits after the point of a whole token.
    pub decimals: u8,
}

impl Token {
    /// Whole tokens with the symbol, for example `2.25 USDC`.
    pub fn show(&self, units: U256) -> String {
        format!("{} {}", self.format_units(units), self.symbol)
    }

    /// Whole tokens as an exact decimal number without trailing zeros.
    pub fn format_units(&self, units: U256) -> String {
        format_units(units, self.decimals)
    }

    /// Smallest units of a decimal number of whole tokens.
    pub fn parse_units(&self, text: &str) -> Result<U256, AmountError> {
        parse_units(text, self.decimals)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_and_whole_tokens_say_the_same() {
        for (count, decimals, text) in [
            (0_u64, 6, "0"),
            (1, 6, "0.000001"),
            (2_250_000, 6, "2.25"),
            (1_000_000, 6, "1"),
            (12_345_678_900, 6, "12345.6789"),
            (25, 0, "25"),
            (70, 1, "7"),
            (500_000_000_000_000_000, 18, "0.5"),
        ] {
            assert_eq!(format_units(U256::from(count), decimals), text);
            assert_eq!(parse_units(text, decimals), Ok(U256::from(count)), "{text}");
        }
    }

    #[test]
    fn an_amount_may_be_written_with_more_zeros_than_it_needs() {
        for (text, decimals, count) in
            [(".5", 6, 500_000_u64), ("5.000000000", 6, 5_000_000), ("1.500", 1, 15), ("007", 2, 700)]
        {
            assert_eq!(parse_units(text, decimals), Ok(U256::from(count)), "{text}");
        }
    }

    #[test]
    fn what_is_no_amount_of_the_token_is_refused_with_the_reason() {
        let said = |text: &str, decimals| parse_units(text, decimals).unwrap_err().to_string();
        assert_eq!(said("0.0000001", 6), "\"0.0000001\" has more decimals than the token, which has 6");
        assert_eq!(said(&"9".repeat(90), 0), format!("{:?} is more than a chain can count", "9".repeat(80)));
        for text in ["", ".", "x", "0x1", "-1", "1_0", "1e6", "1,5", "1.2.3", "two", " 1"] {
            let expected = format!("{text:?} is not an amount: expected a decimal number such as 2.25");
            assert_eq!(said(text, 6), expected);
        }
    }

    #[test]
    fn a_token_shows_its_symbol() {
        let usd = Token { address: Address::ZERO, symbol: "USDC".to_owned(), decimals: 6 };
        assert_eq!(usd.show(U256::from(2_250_000)), "2.25 USDC");
    }
}
