//! Quantities of CPU, memory and storage, as Kubernetes writes them.

/// A Kubernetes quantity in thousandths of its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount(pub u128);

/// Less of memory or storage starts no program, and is a slip of the suffix: `512m` is half a byte.
pub const LEAST_BYTES: Amount = Amount((1 << 20) * 1000);

const SUFFIXES: [(&str, u128); 14] = [
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("Pi", 1 << 50),
    ("Ei", 1 << 60),
    ("m", 0),
    ("k", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
    ("P", 1_000_000_000_000_000),
    ("E", 1_000_000_000_000_000_000),
    ("", 1),
];

/// Reads a quantity that is not negative; none if it is none, or has an exponent (`1e3`), which nobody writes here.
pub fn parse(text: &str) -> Option<Amount> {
    let text = text.trim();
    let (digits, unit) = SUFFIXES.iter().find_map(|(suffix, unit)| text.strip_suffix(suffix).map(|d| (d, *unit)))?;
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let number =
        |s: &str| s.bytes().all(|b| b.is_ascii_digit()).then(|| if s.is_empty() { Ok(0) } else { s.parse::<u128>() });
    if whole.is_empty() && fraction.is_empty() || fraction.len() > 9 {
        return None;
    }
    let (whole, part) = (number(whole)?.ok()?, number(fraction)?.ok()?);
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    // In thousandths; "m" itself is one thousandth.
    let milli = if unit == 0 { 1 } else { unit.checked_mul(1000)? };
    whole.checked_mul(milli)?.checked_add(part.checked_mul(milli)? / scale).map(Amount)
}

impl Amount {
    /// That much for each of a number of GPUs.
    #[must_use]
    pub fn times(self, factor: u32) -> Self {
        Self(self.0.saturating_mul(u128::from(factor)))
    }

    /// In the largest binary unit that it is a whole number of.
    #[must_use]
    pub fn to_quantity(self) -> String {
        if !self.0.is_multiple_of(1000) {
            return format!("{}m", self.0);
        }
        let whole = self.0 / 1000;
        let (suffix, unit) = SUFFIXES[..6]
            .iter()
            .rev()
            .find(|(_, unit)| whole >= *unit && whole.is_multiple_of(*unit))
            .copied()
            .unwrap_or(("", 1));
        format!("{}{suffix}", whole / unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_and_written() {
        for (text, milli, written) in [
            ("4", 4000, "4"),
            ("500m", 500, "500m"),
            ("1.5", 1500, "1500m"),
            ("16Gi", 16 * 1024 * 1024 * 1024 * 1000, "16Gi"),
            ("1.5Gi", 1536 * 1024 * 1024 * 1000, "1536Mi"),
            ("2k", 2_000_000, "2000"),
            ("0", 0, "0"),
        ] {
            let amount = parse(text).unwrap();
            assert_eq!(amount, Amount(milli), "{text}");
            assert_eq!(amount.to_quantity(), written, "{text}");
        }
    }

    #[test]
    fn what_is_no_quantity_is_none() {
        for text in ["", "-1", "x", "1Zi", "1e3", ".", "1.2.3", "99999999999999999999999999999999999999999"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
