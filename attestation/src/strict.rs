//! One way to write a body. What serde reads is wider than what a second implementation can be expected to read: structs
//! from arrays, a field twice, times in a dozen forms. Evidence is what any reader reads alike, so the rest is refused.
//!
//! - A body is an object; so is each element of the list `gpus`. No field comes twice in an object, at whatever depth.
//! - A number is a decimal integer without sign, fraction and exponent, below 2^64. A value that is not known is left out: there
//!   is no `null`. This holds for unknown fields too.
//! - A time is `2026-11-27T13:15:53.25Z`: RFC 3339, `T` and `Z`, at most three digits of a second (nine in `stoppedAt`), in a
//!   year that the libraries of other languages have too.
//! - Hexadecimal is `0x` and lower-case digits, of the length that the value has.

use std::{borrow::Cow, collections::HashSet, fmt};

use jiff::Timestamp;
use serde::{
    Deserialize, Deserializer, Serializer,
    de::{self, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Visitor},
};

/// The list of samples in a report, and of nothing else.
const SAMPLES: &str = "gpus";
/// Which kind of line it is: its name, and not its number among the kinds.
const KIND: &str = "kind";

/// Whether a body is written in the one way in which bodies are written.
pub(crate) fn check(text: &str) -> Result<(), serde_json::Error> {
    let mut json = serde_json::Deserializer::from_str(text);
    Shape::Body.deserialize(&mut json)?;
    json.end()
}

/// What may stand in a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// The whole.
    Body,
    /// An object.
    Object,
    /// A list of objects, or what is no list.
    Samples,
    /// A text.
    Text,
    /// Anything but `null`, and numbers that aren't integers.
    Any,
}

impl Shape {
    fn refuse<E: de::Error, T>(self) -> Result<T, E> {
        Err(E::custom(match self {
            Self::Body => "a body is an object",
            Self::Object => "a GPU's sample is an object",
            Self::Text => "the kind is a text",
            Self::Samples | Self::Any => "the value is of another type",
        }))
    }

    /// A value that holds no others.
    fn plain<E: de::Error>(self) -> Result<(), E> {
        if matches!(self, Self::Any | Self::Samples) { Ok(()) } else { self.refuse() }
    }
}

impl<'de> DeserializeSeed<'de> for Shape {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Shape {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object, a list, a text, an integer, true or false")
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<(), E> {
        self.plain()
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<(), E> {
        self.plain()
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<(), E> {
        Err(E::custom(format_args!("the number {number} is negative: no value of evidence is")))
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
        Err(E::custom("a number is not a decimal integer below 2^64"))
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Err(E::custom("null: a value that is not known is left out"))
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<(), E> {
        if self == Self::Text { Ok(()) } else { self.plain() }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let each = match self {
            Self::Samples => Self::Object,
            Self::Any => Self::Any,
            Self::Body | Self::Object | Self::Text => return self.refuse(),
        };
        while elements.next_element_seed(each)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        if self == Self::Text {
            return self.refuse();
        }
        let mut seen: HashSet<Cow<'de, str>> = HashSet::new();
        while let Some(Name(name)) = fields.next_key()? {
            fields.next_value_seed(match (self, &*name) {
                (Self::Body, SAMPLES) => Self::Samples,
                (Self::Body, KIND) => Self::Text,
                _ => Self::Any,
            })?;
            if let Some(twice) = seen.replace(name) {
                return Err(de::Error::custom(format_args!("the field {twice:?} comes twice")));
            }
        }
        Ok(())
    }
}

/// A field's name, borrowed where it has no escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// Text of a value that has one form only.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cow<'de, str>, D::Error> {
    Cow::<'de, str>::deserialize(deserializer)
}

/// One of an enum's names: serde would also take an object of that name with an empty object in it.
pub(crate) fn named<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    T::deserialize(text(deserializer)?.into_deserializer())
}

/// `0x` and lower-case digits.
pub(crate) mod hex {
    use std::str::FromStr;

    use super::{Deserializer, de, text};

    pub(crate) fn deserialize<'de, D: Deserializer<'de>, T: FromStr>(deserializer: D) -> Result<T, D::Error> {
        let text = text(deserializer)?;
        let lower = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        text.strip_prefix("0x").filter(|digits| digits.bytes().all(lower)).and_then(|_| text.parse().ok()).ok_or_else(
            || de::Error::custom(format_args!("{text:?} is not 0x and lower-case digits as many as it has")),
        )
    }
}

/// RFC 3339 in the one form that evidence has. What is written is cut to milliseconds: more digits would only cost room.
pub(crate) mod time {
    use super::{Deserializer, Serializer, Timestamp};

    pub(crate) fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Timestamp::from_millisecond(time.as_millisecond()).unwrap_or(*time))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        super::read_time(deserializer, 3)
    }
}

/// When a card stopped, where there may be no such time. The sidecar's clock has nine digits of a second.
pub(crate) fn maybe_stopped<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    read_time(deserializer, 9).map(Some)
}

/// The same where there may be none.
#[allow(clippy::ref_option, reason = "serde gives it so")]
pub(crate) mod maybe_time {
    use super::{Deserializer, Serializer, Timestamp, time};

    pub(crate) fn serialize<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => super::time::serialize(time, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
        time::deserialize(deserializer).map(Some)
    }
}

fn read_time<'de, D: Deserializer<'de>>(deserializer: D, digits: usize) -> Result<Timestamp, D::Error> {
    let text = text(deserializer)?;
    parse_time(&text, digits)
        .ok_or_else(|| de::Error::custom(format_args!("{text:?} is not a time such as 2026-11-27T13:15:53.25Z")))
}

fn parse_time(text: &str, digits: usize) -> Option<Timestamp> {
    let whole = text.strip_suffix('Z')?;
    let (seconds, fraction) = whole.split_once('.').map_or((whole, None), |(whole, part)| (whole, Some(part)));
    let pattern = b"dddd-dd-ddTdd:dd:dd";
    let fits = |(byte, form): (u8, &u8)| if *form == b'd' { byte.is_ascii_digit() } else { byte == *form };
    // A leap second has no place in Unix time: jiff would take it for the second before.
    if seconds.len() != pattern.len() || !seconds.bytes().zip(pattern).all(fits) || seconds.ends_with("60") {
        return None;
    }
    let fits = |part: &str| (1..=digits).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    if !fraction.is_none_or(fits) || seconds.starts_with("0000") || seconds.starts_with("9999") {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_one_form() {
        for text in
            ["2026-11-27T13:15:53Z", "2026-11-27T13:15:53.2Z", "2026-11-27T13:15:53.250Z", "0001-01-01T00:00:00Z"]
        {
            assert!(parse_time(text, 3).is_some(), "{text}");
        }
        assert!(parse_time("2026-11-27T13:15:53.123456789Z", 9).is_some());
        assert!(parse_time("2026-11-27T13:15:53.1234567890Z", 9).is_none());
        for text in [
            "20261127T131553.250Z",
            "2026-11-27 13:15:53.250Z",
            "2026-11-27T13:15:53.250z",
            "2026-11-27t13:15:53Z",
            "2026-11-27T13:15:53,250Z",
            "2026-11-27T13:15:53Z[UTC]",
            "2026-11-27T13:15:53+05:30",
            "2026-11-27T13:15:53+00:00",
            "2026-11-27T13:15:53",
            "2026-11-27T13:15Z",
            "2026-11-27T13:15:60Z",
            "2026-11-27T13:15:53.Z",
            "2026-11-27T13:15:53.2500Z",
            "2026-13-27T13:15:53Z",
            "2026-02-30T13:15:53Z",
            "+002026-11-27T13:15:53Z",
            "-002026-11-27T13:15:53Z",
            "0000-12-31T23:59:59Z",
            "9999-01-01T00:00:00Z",
            "",
        ] {
            assert!(parse_time(text, 3).is_none(), "{text}");
        }
    }

    #[test]
    fn a_body_has_one_form() {
        for text in ["{}", r#"{"a":1,"b":[[1],{"a":2}],"c":{"a":true}}"#, r#"{"gpus":[{},{"x":[1]}]}"#, r#"{"gpus":2}"#]
        {
            assert!(check(text).is_ok(), "{text}");
        }
        for (text, part) in [
            ("[]", "a body is an object"),
            (r#""a""#, "a body is an object"),
            (r#"{"a":1,"a":1}"#, "\"a\" comes twice"),
            (r#"{"a":1,"\u0061":2}"#, "\"a\" comes twice"),
            (r#"{"u":[{"b":{"a":1,"a":2}}]}"#, "\"a\" comes twice"),
            (r#"{"gpus":[["GPU-a"]]}"#, "sample is an object"),
            (r#"{"gpus":["GPU-a"]}"#, "sample is an object"),
            (r#"{"kind":0}"#, "kind is a text"),
            (r#"{"kind":{"header":1}}"#, "kind is a text"),
            (r#"{"a":1.0}"#, "decimal integer"),
            (r#"{"a":1e2}"#, "decimal integer"),
            (r#"{"a":-0}"#, "decimal integer"),
            (r#"{"a":-1}"#, "negative"),
            (r#"{"a":18446744073709551616}"#, "decimal integer"),
            (r#"{"a":1e400}"#, "number"),
            (r#"{"a":null}"#, "left out"),
            ("{} {}", "trailing"),
            (r#"{"a":01}"#, "number"),
            ("\u{feff}{}", "expected"),
        ] {
            let error = check(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
