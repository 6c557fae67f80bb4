//! A decimal number that stays the text that was written.

use std::fmt;

use serde::{Deserialize, Deserializer, de};

/// `2.25`, `"2.25"` and `2` in YAML all mean what they say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DecimalText(pub(crate) String);

impl<'de> Deserialize<'de> for DecimalText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = DecimalText;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a decimal number such as 2.25")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<DecimalText, E> {
                Ok(DecimalText(text.to_owned()))
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<DecimalText, E> {
                Ok(DecimalText(number.to_string()))
            }
            // The shortest decimal number that is this float: for 2.25 the text itself.
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<DecimalText, E> {
                Ok(DecimalText(number.to_string()))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_in_yaml_means_what_it_says() {
        for (yaml, text) in [("2.25", "2.25"), ("'2.250'", "2.250"), ("2", "2"), ("0.1", "0.1")] {
            assert_eq!(serde_yaml_ng::from_str::<DecimalText>(yaml).unwrap(), DecimalText(text.to_owned()));
        }
        assert!(serde_yaml_ng::from_str::<DecimalText>("[2]").is_err());
    }
}
