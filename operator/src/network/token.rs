//! What offers are paid in.

use hawser_market::{AmountError, format_units, parse_units};

use super::{TokenId, Units};

/// A token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its name.
    pub id: TokenId,
    /// What it calls itself: whatever somebody has written there.
    pub symbol: String,
    /// Digits after the point.
    pub decimals: u8,
}

impl Token {
    /// Smallest units of a decimal number of whole tokens.
    pub fn parse_units(&self, text: &str) -> Result<Units, AmountError> {
        parse_units(text, self.decimals)
    }

    /// Whole tokens as an exact decimal number.
    pub fn format_units(&self, units: Units) -> String {
        format_units(units, self.decimals)
    }
}
