//! Texts of strangers and times, as people may see them.

use jiff::Timestamp;

/// What strangers wrote on chain, fit for a terminal: control characters could move the cursor, rewrite what was
/// printed before, or set the window's title, and unseen ones could turn a line around or make two texts look alike.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || is_unseen(c) { '\u{fffd}' } else { c }).collect()
}

/// Characters without a width of their own, those that set the direction of text, and line separators.
fn is_unseen(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    )
}

/// A GPU class as the market holds it: a product name padded with zeros, or a hash of a longer one. What isn't plain
/// ASCII with single spaces is no name: it could be made to look like the columns of a table.
pub fn gpu_class(class: &[u8; 32]) -> String {
    let end = class.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    match str::from_utf8(&class[..end]) {
        Ok(name)
            if name.split(' ').all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_graphic())) =>
        {
            name.to_owned()
        }
        _ => alloy::hex::encode_prefixed(class),
    }
}

/// Unix seconds as UTC; 0 is never a time on this market.
pub fn time(unix_seconds: u64) -> String {
    formatted(unix_seconds, "%Y-%m-%d %H:%M:%SZ")
}

/// The same without a space in it, as spreadsheets and books want it (RFC 3339).
pub fn rfc3339(unix_seconds: u64) -> String {
    formatted(unix_seconds, "%Y-%m-%dT%H:%M:%SZ")
}

fn formatted(unix_seconds: u64, format: &str) -> String {
    if unix_seconds == 0 {
        return "-".to_owned();
    }
    i64::try_from(unix_seconds)
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .map_or_else(|| "never".to_owned(), |at| at.strftime(format).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_can_not_steer_the_terminal() {
        assert_eq!(printable("no GPU\u{1b}[2J\nfree"), "no GPU\u{fffd}[2J\u{fffd}free");
        for unseen in ['\u{200b}', '\u{200f}', '\u{202a}', '\u{202e}', '\u{2060}', '\u{2066}', '\u{206f}', '\u{feff}'] {
            assert_eq!(printable(&format!("paid {unseen}in full")), "paid \u{fffd}in full", "{unseen:?}");
        }
        assert_eq!(printable("größer 日本"), "größer 日本");
    }

    #[test]
    fn a_gpu_class_is_a_name_or_the_hash_of_a_long_one() {
        let mut class = [0; 32];
        class[..10].copy_from_slice(b"NVIDIA-L40");
        assert_eq!(gpu_class(&class), "NVIDIA-L40");
        assert_eq!(gpu_class(&[0xfe; 32]), format!("0x{}", "fe".repeat(32)));
        assert_eq!(gpu_class(&[0; 32]), format!("0x{}", "00".repeat(32)));
        let class = |name: &str| {
            let mut class = [0; 32];
            class[..name.len()].copy_from_slice(name.as_bytes());
            gpu_class(&class)
        };
        assert_eq!(class("NVIDIA A10"), "NVIDIA A10");
        for name in ["NVIDIA\u{202e}01A", "H\u{200b}100", "Н100", "H100   0.01 USDC   8", " H100", "H100\t8"] {
            assert!(class(name).starts_with("0x"), "{name:?}");
        }
    }

    #[test]
    fn a_time_beyond_the_calendar_is_never() {
        assert_eq!(time(1_700_000_000), "2023-11-14 22:13:20Z");
        assert_eq!(rfc3339(1_700_000_000), "2023-11-14T22:13:20Z");
        assert_eq!(time(u64::MAX), "never");
        assert_eq!(time(0), "-");
    }
}
