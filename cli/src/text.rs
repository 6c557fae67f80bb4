//! Text of strangers on a terminal, and times for people.

use jiff::Timestamp;

/// What strangers wrote on chain, fit for a terminal: control characters could move the cursor, rewrite what was
/// printed before, or set the window's title.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// A GPU class as the market holds it: a product name padded with zeros, or a hash of a longer one.
pub(crate) fn gpu_class(class: &[u8; 32]) -> String {
    let end = class.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    match std::str::from_utf8(&class[..end]) {
        Ok(name) if !name.is_empty() && !name.chars().any(char::is_control) => name.to_owned(),
        _ => alloy::hex::encode_prefixed(class),
    }
}

/// Unix seconds as UTC; 0 is never a time on this market.
pub(crate) fn time(unix_seconds: u64) -> String {
    if unix_seconds == 0 {
        return "-".to_owned();
    }
    i64::try_from(unix_seconds)
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .map_or_else(|| "never".to_owned(), |at| at.strftime("%Y-%m-%d %H:%M:%SZ").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_can_not_steer_the_terminal() {
        assert_eq!(printable("no GPU\u{1b}[2J\nfree"), "no GPU\u{fffd}[2J\u{fffd}free");
    }

    #[test]
    fn a_gpu_class_is_a_name_or_the_hash_of_a_long_one() {
        let mut class = [0; 32];
        class[..10].copy_from_slice(b"NVIDIA-L40");
        assert_eq!(gpu_class(&class), "NVIDIA-L40");
        assert_eq!(gpu_class(&[0xfe; 32]), format!("0x{}", "fe".repeat(32)));
        assert_eq!(gpu_class(&[0; 32]), format!("0x{}", "00".repeat(32)));
    }

    #[test]
    fn a_time_beyond_the_calendar_is_never() {
        assert_eq!(time(1_700_000_000), "2023-11-14 22:13:20Z");
        assert_eq!(time(u64::MAX), "never");
        assert_eq!(time(0), "-");
    }
}
