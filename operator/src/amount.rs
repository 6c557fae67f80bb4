//! Amounts of a token or a coin: whole ones as people write them, smallest units as chains count them.

use alloy::primitives::U256;

/// Digits after the point of a chain's own coin.
pub(crate) const COIN_DECIMALS: u8 = 18;

/// Smallest units of a decimal number of whole tokens; otherwise what is wrong with the number.
pub(crate) fn units(text: &str, decimals: u8) -> Result<U256, String> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let fraction = fraction.trim_end_matches('0');
    let decimals = usize::from(decimals);
    if fraction.len() > decimals {
        return Err(format!("{text} has more decimals than the token, which has {decimals}"));
    }
    let digits = format!("{whole}{fraction:0<decimals$}");
    // U256 also reads other radixes and underscores.
    let plain = !whole.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let read = if plain { U256::from_str_radix(&digits, 10).ok() } else { None };
    read.ok_or_else(|| format!("{text} is not an amount of a token with {decimals} decimals"))
}

/// Whole tokens as a decimal number.
pub(crate) fn whole(units: U256, decimals: u8) -> String {
    let decimals = usize::from(decimals);
    let digits = format!("{:0>width$}", units.to_string(), width = decimals + 1);
    let (whole, fraction) = digits.split_at(digits.len() - decimals);
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_tokens_become_units() {
        for (text, decimals, expected) in [
            ("2.25", 6, 2_250_000_u64),
            ("2", 0, 2),
            ("0.5", 18, 500_000_000_000_000_000),
            ("1.500", 1, 15),
            ("007", 2, 700),
            ("0", 6, 0),
        ] {
            assert_eq!(units(text, decimals), Ok(U256::from(expected)), "{text}");
        }
        assert!(units("2.25", 1).unwrap_err().contains("more decimals than the token"));
        for wrong in ["x", "", "0x1", "-1", "1_0", "1.2.3"] {
            assert!(units(wrong, 4).is_err(), "{wrong}");
        }
    }

    #[test]
    fn units_become_whole_tokens() {
        for (units, decimals, text) in
            [(2_250_000_u64, 6, "2.25"), (0, 6, "0"), (5, 6, "0.000005"), (7, 0, "7"), (70, 1, "7")]
        {
            assert_eq!(whole(U256::from(units), decimals), text);
        }
    }
}
