//! Names of offers and jobs. A job's name carries what its order locked, so that price and GPUs need no lookup.

use std::{fmt, str::FromStr};

use alloy::primitives::{B256, FixedBytes, U256, hex, keccak256};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

const SECONDS_PER_HOUR: u64 = 3600;

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseIdError {
    what: &'static str,
    text: String,
    bytes: usize,
}

impl fmt::Display for ParseIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, text, bytes } = self;
        write!(f, "{text:?} is not {what}: expected 0x and {} hexadecimal digits", bytes * 2)
    }
}

impl std::error::Error for ParseIdError {}

fn parse<const N: usize>(what: &'static str, text: &str) -> Result<FixedBytes<N>, ParseIdError> {
    let wrong = || ParseIdError { what, text: text.chars().take(80).collect(), bytes: N };
    let digits = text.strip_prefix("0x").ok_or_else(wrong)?;
    let mut bytes = [0; N];
    hex::decode_to_slice(digits, &mut bytes).map_err(|_| wrong())?;
    Ok(FixedBytes(bytes))
}

/// Name of an offer: the first 96 bits of the hash of its terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OfferId(pub FixedBytes<12>);

/// Name of a job: `offer 96 | price 80 | gpus 16 | order hash 64`, most significant bits first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(pub B256);

impl JobId {
    /// Builds the id from its parts; `None` where the price needs more than 80 bits.
    pub fn from_parts(offer: OfferId, price: u128, gpus: u16, order_hash: FixedBytes<8>) -> Option<Self> {
        let price = price.to_be_bytes();
        if price[..6] != [0; 6] {
            return None;
        }
        let mut id = [0; 32];
        id[..12].copy_from_slice(offer.0.as_slice());
        id[12..22].copy_from_slice(&price[6..]);
        id[22..24].copy_from_slice(&gpus.to_be_bytes());
        id[24..].copy_from_slice(order_hash.as_slice());
        Some(Self(B256::from(id)))
    }

    /// Offer that was ordered.
    pub fn offer_id(self) -> OfferId {
        OfferId(self.part::<0, 12>().into())
    }

    /// Locked price, token units per GPU-hour.
    pub fn price(self) -> u128 {
        self.part::<12, 10>().into_iter().fold(0, |price, byte| price << 8 | u128::from(byte))
    }

    /// Number of GPUs.
    pub fn gpus(self) -> u16 {
        u16::from_be_bytes(self.part::<22, 2>())
    }

    /// First 64 bits of the order's hash (customer, duration, salt, spec, offer).
    pub fn order_hash(self) -> FixedBytes<8> {
        self.part::<24, 8>().into()
    }

    /// Name of the order's `ComputeJob` in every cluster: the same order always has the same one, so seeing it twice is
    /// harmless.
    pub fn resource_name(self) -> String {
        format!("job-{}", hex::encode(&keccak256(self.0)[..8]))
    }

    /// Token units that the market holds for so many seconds of this job: see [`deposit`].
    pub fn deposit(self, duration_seconds: u32) -> U256 {
        deposit(self.price(), self.gpus(), duration_seconds)
    }

    /// Token units paid, fee included, once so many GPU-seconds were claimed: rounded down.
    pub fn paid(self, gpu_seconds: u64) -> U256 {
        U256::from(self.price()) * U256::from(gpu_seconds) / U256::from(SECONDS_PER_HOUR)
    }

    fn part<const FROM: usize, const LEN: usize>(self) -> [u8; LEN] {
        std::array::from_fn(|i| self.0[FROM + i])
    }
}

/// Token units that the market holds for an order at a price per GPU-hour, rounded up.
pub fn deposit(price: u128, gpus: u16, duration_seconds: u32) -> U256 {
    let gpu_seconds = u64::from(gpus) * u64::from(duration_seconds);
    (U256::from(price) * U256::from(gpu_seconds)).div_ceil(U256::from(SECONDS_PER_HOUR))
}

macro_rules! id {
    ($id:ident, $bytes:ty, $what:literal) => {
        impl fmt::Display for $id {
            /// `0x` and lower-case hexadecimal digits.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode_prefixed(self.0))
            }
        }

        impl FromStr for $id {
            type Err = ParseIdError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                parse($what, text).map(Self)
            }
        }

        impl From<$bytes> for $id {
            fn from(bytes: $bytes) -> Self {
                Self(bytes)
            }
        }

        impl From<$id> for $bytes {
            fn from(id: $id) -> Self {
                id.0
            }
        }

        impl Serialize for $id {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $id {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    };
}

id!(OfferId, FixedBytes<12>, "an offer's id");
id!(JobId, B256, "a job's id");

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> JobId {
        let offer = OfferId(FixedBytes([0xab; 12]));
        JobId::from_parts(offer, 2_500_000, 8, FixedBytes([0xcd; 8])).unwrap()
    }

    #[test]
    fn a_job_id_gives_back_its_parts() {
        assert_eq!(id().offer_id(), OfferId(FixedBytes([0xab; 12])));
        assert_eq!(id().price(), 2_500_000);
        assert_eq!(id().gpus(), 8);
        assert_eq!(id().order_hash(), FixedBytes([0xcd; 8]));
        assert_eq!(id().to_string(), format!("0x{}000000000000002625a00008{}", "ab".repeat(12), "cd".repeat(8)));
    }

    #[test]
    fn a_price_fills_80_bits_and_no_more() {
        let offer = OfferId(FixedBytes::ZERO);
        let highest = (1_u128 << 80) - 1;
        assert_eq!(JobId::from_parts(offer, highest, 1, FixedBytes::ZERO).map(JobId::price), Some(highest));
        assert_eq!(JobId::from_parts(offer, highest + 1, 1, FixedBytes::ZERO), None);
    }

    #[test]
    fn a_deposit_rounds_up_and_a_payment_rounds_down() {
        let one = JobId::from_parts(OfferId(FixedBytes::ZERO), 1, 1, FixedBytes::ZERO).unwrap();
        assert_eq!(one.deposit(1), U256::from(1));
        assert_eq!(one.paid(3599), U256::ZERO);
        assert_eq!(one.paid(3600), U256::from(1));
        assert_eq!(id().deposit(3600), U256::from(20_000_000));
    }

    #[test]
    fn a_resource_is_named_by_the_whole_id() {
        let other = JobId::from_parts(id().offer_id(), 2_500_001, 8, id().order_hash()).unwrap();
        assert_eq!(id().resource_name(), id().resource_name());
        assert_ne!(id().resource_name(), other.resource_name());
        assert_eq!(JobId(B256::ZERO).resource_name(), "job-290decd9548b62a8");
    }

    #[test]
    fn text_and_json_give_back_the_id() {
        let text = id().to_string();
        assert_eq!(text.parse(), Ok(id()));
        let json = serde_json::to_string(&id()).unwrap();
        assert_eq!(json, format!("\"{text}\""));
        assert_eq!(serde_json::from_str::<JobId>(&json).unwrap(), id());
    }

    #[test]
    fn a_text_that_is_no_id_is_refused_with_the_reason() {
        for text in ["", "0x", "abab", "0xzz", &"0x00".repeat(16), &format!("{}00", id())] {
            let error = text.parse::<JobId>().unwrap_err().to_string();
            assert!(error.ends_with("is not a job's id: expected 0x and 64 hexadecimal digits"), "{error}");
        }
    }
}
