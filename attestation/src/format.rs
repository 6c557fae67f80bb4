//! What a header says of itself before anything else: in which version of the format it is written, and in which tier.
//!
//! A reader that doesn't know one of the two must not judge what it reads. So both are refused by name, whatever else there is
//! that the reader can't read. Every later version keeps the form of a line, the strict form of a body, and these two fields.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::Value;

/// Version of the evidence's format. The first headers did not name theirs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// That of `docs/reference/evidence.md`.
    #[default]
    V1,
}

impl Version {
    const ALL: [Self; 1] = [Self::V1];

    /// As it is written.
    pub const fn number(self) -> u16 {
        match self {
            Self::V1 => 1,
        }
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u16(self.number())
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let found = Value::deserialize(deserializer)?;
        let known = Self::ALL.into_iter().find(|version| found == version.number());
        known.ok_or_else(|| D::Error::custom(Unknown::Version(found.to_string())))
    }
}

/// How far evidence can be trusted. The first headers did not name theirs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Tier {
    /// Use is signed, bounded and hash-chained by software that the provider runs: it doesn't show that the GPU is real.
    #[default]
    Metered,
}

impl Tier {
    const ALL: [Self; 1] = [Self::Metered];

    /// As it is written, also in an offer's card.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Metered => "metered",
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Tier {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Tier {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let found = Value::deserialize(deserializer)?;
        let known = Self::ALL.into_iter().find(|tier| found == tier.as_str());
        known.ok_or_else(|| D::Error::custom(Unknown::Tier(found.to_string())))
    }
}

/// A header that is from another world than this reader.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    /// Its version.
    #[error("the evidence has format version {0}, and this reader knows {known}: use a newer one", known = versions())]
    Version(String),
    /// Its tier.
    #[error("the evidence is of tier {0}, and this reader knows {known}: use a newer one", known = tiers())]
    Tier(String),
}

fn versions() -> String {
    Version::ALL.map(|version| version.number().to_string()).join(", ")
}

fn tiers() -> String {
    Tier::ALL.map(|tier| format!("{:?}", tier.as_str())).join(", ")
}

/// What of a header can be read in every version.
#[derive(Deserialize)]
struct Preface {
    kind: String,
    #[serde(default)]
    version: Option<Value>,
    #[serde(default)]
    tier: Option<Value>,
}

/// Why a body that can't be read is not for this reader, if that is the reason.
pub(crate) fn unknown(body: &str) -> Option<Unknown> {
    let preface: Preface = serde_json::from_str(body).ok().filter(|preface: &Preface| preface.kind == "header")?;
    let version = preface.version.filter(|version| Version::deserialize(version).is_err());
    let tier = preface.tier.filter(|tier| Tier::deserialize(tier).is_err());
    version.map(|found| Unknown::Version(found.to_string())).or_else(|| Some(Unknown::Tier(tier?.to_string())))
}
