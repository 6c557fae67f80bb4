//! Values that are typed: what can't be meant is refused, with what was expected.

use alloy::primitives::{Address, B256, keccak256};

/// An address. Where it has digits of both cases, their cases are a checksum (EIP-55), and one that doesn't fit is a typing
/// error: what is sent to such an address is lost.
pub(crate) fn address(text: &str) -> Result<Address, String> {
    let Some(digits) = digits(text, 40) else {
        return Err("an address has 20 bytes: 0x and 40 hexadecimal digits".to_owned());
    };
    let address: Address = text.parse().map_err(|_| "it is no address".to_owned())?;
    let has = |case: fn(&u8) -> bool| digits.as_bytes().iter().any(case);
    let mixed = has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase);
    if mixed && address.to_string() != text {
        return Err(
            "its capital and small letters are not the checksum of its digits (EIP-55), so a digit is wrong: copy it again \
             from where it came from"
                .to_owned(),
        );
    }
    Ok(address)
}

/// 32 bytes.
pub(crate) fn salt(text: &str) -> Result<B256, String> {
    let wrong = || "a salt has 32 bytes: 0x and 64 hexadecimal digits".to_owned();
    digits(text, 64).ok_or_else(wrong)?;
    text.parse().map_err(|_| wrong())
}

/// A GPU class: a product's name, padded with zeros or, where it is longer than 32 bytes, hashed; or that hash, as it is shown.
pub(crate) fn gpu_class(text: &str) -> Result<B256, String> {
    if let Some(class) = digits(text, 64).and_then(|_| text.parse::<B256>().ok()) {
        return Ok(class).and_then(some_class);
    }
    some_class(if text.len() > 32 { keccak256(text) } else { B256::right_padding_from(text.as_bytes()) })
}

/// All zeros stand for all classes.
fn some_class(class: B256) -> Result<B256, String> {
    if class.is_zero() {
        Err("it names no GPU class: leave it out to set the floor of all".to_owned())
    } else {
        Ok(class)
    }
}

/// Seconds, or a number with one of the units `s`, `m`, `h` and `d`.
pub(crate) fn seconds(text: &str) -> Result<u32, String> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: u32 = match &text[number.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => 0,
    };
    let whole = || number.bytes().all(|byte| byte.is_ascii_digit()).then(|| number.parse::<u32>().ok()).flatten();
    match whole().and_then(|number| number.checked_mul(unit)) {
        Some(seconds) if seconds > 0 => Ok(seconds),
        _ => Err("expected whole seconds, or a number with s, m, h or d: 3600 and 1h are the same".to_owned()),
    }
}

fn digits(text: &str, count: usize) -> Option<&str> {
    text.strip_prefix("0x")
        .filter(|digits| digits.len() == count && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of EIP-55 itself.
    const CHECKSUMMED: &str = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";

    #[test]
    fn an_address_with_a_wrong_checksum_is_a_typing_error() {
        let lower = CHECKSUMMED.to_lowercase();
        let upper = format!("0x{}", CHECKSUMMED[2..].to_uppercase());
        for text in [CHECKSUMMED, &lower, &upper, "0x0000000000000000000000000000000000000001"] {
            assert!(address(text).is_ok(), "{text}");
        }
        let other_case = CHECKSUMMED.replacen('b', "B", 1);
        let other_digit = CHECKSUMMED.replacen("05", "06", 1);
        for text in [&other_case, &other_digit] {
            assert!(address(text).unwrap_err().contains("checksum"), "{text}");
        }
        for text in ["", "0x", "0xe7f1", &CHECKSUMMED[2..], &format!("{CHECKSUMMED}0"), &lower.replace("0x", "0X")] {
            assert!(address(text).unwrap_err().contains("0x and 40 hexadecimal digits"), "{text}");
        }
    }

    #[test]
    fn a_salt_says_how_long_it_is() {
        assert_eq!(salt(&format!("0x{}", "5a".repeat(32))), Ok(B256::repeat_byte(0x5a)));
        for text in ["0x12", "", &"5a".repeat(32)] {
            assert!(salt(text).unwrap_err().contains("64 hexadecimal digits"), "{text}");
        }
    }

    #[test]
    fn a_gpu_class_is_the_one_that_operators_post() {
        assert_eq!(gpu_class("NVIDIA-H200"), Ok(B256::right_padding_from(b"NVIDIA-H200")));
        let long = "NVIDIA-RTX-PRO-6000-Blackwell-Server-Edition";
        assert_eq!(gpu_class(long), Ok(keccak256(long)));
        assert_eq!(gpu_class(&keccak256(long).to_string()), Ok(keccak256(long)));
        for all in ["", &B256::ZERO.to_string()] {
            assert!(gpu_class(all).unwrap_err().contains("no GPU class"), "{all:?}");
        }
    }

    #[test]
    fn seconds_may_have_a_unit() {
        for (text, number) in [("1", 1), ("90s", 90), ("5m", 300), ("1h", 3600), ("2d", 172_800)] {
            assert_eq!(seconds(text), Ok(number), "{text}");
        }
        for text in
            ["", "0", "0h", "h", "-1", "+1", "1.5h", "1h30m", "1w", "1 h", "1H", "4294967296", "99999d", "soon", "٣"]
        {
            assert!(seconds(text).unwrap_err().contains("1h are the same"), "{text}");
        }
    }
}
