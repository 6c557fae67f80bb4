//! Names of offers and jobs. A job's name carries what its order locked, so that price and GPUs need no lookup.

use std::{fmt, num::NonZero, str::FromStr};

use alloy::primitives::{B256, FixedBytes, U256, hex, keccak256};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{GpuSeconds, OrderRef};

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

/// Name of an offer: the first 64 bits of the hash of its terms, of the market's address and of the chain's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OfferId(pub FixedBytes<8>);

/// Name of a job: `offer 64 | price 80 | gpus 16 | order 96`, most significant bits first. The last field is
/// `0 | hash 95`, or `1 | delegation 31 | hash 64` of an order that a delegate placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(pub B256);

/// First bit of an order's field: a delegate placed the order.
const DELEGATED: u8 = 0x80;

impl JobId {
    /// Builds the id from its parts; `None` where the price needs more than 80 bits.
    pub fn from_parts(offer: OfferId, price: u128, gpus: u16, order: FixedBytes<12>) -> Option<Self> {
        let price = price.to_be_bytes();
        if price[..6] != [0; 6] {
            return None;
        }
        let mut id = [0; 32];
        id[..8].copy_from_slice(offer.0.as_slice());
        id[8..18].copy_from_slice(&price[6..]);
        id[18..20].copy_from_slice(&gpus.to_be_bytes());
        id[20..].copy_from_slice(order.as_slice());
        Some(Self(B256::from(id)))
    }

    /// Id that an order gets at a price, placed by a delegation if there is one; `None` where the price needs more than 80
    /// bits.
    pub fn of_order(
        offer: OfferId,
        price: u128,
        gpus: u16,
        order: OrderRef,
        delegation: Option<NonZero<u32>>,
    ) -> Option<Self> {
        let head = Self::from_parts(offer, price, gpus, FixedBytes::ZERO)?;
        let hash = keccak256([head.0, order.customer.into_word(), order.hash].concat());
        let mut tail: [u8; 12] = std::array::from_fn(|i| hash[20 + i]);
        match delegation {
            None => tail[0] &= !DELEGATED,
            Some(number) => {
                tail[..4].copy_from_slice(&number.get().to_be_bytes());
                tail[0] |= DELEGATED;
            }
        }
        Self::from_parts(offer, price, gpus, tail.into())
    }

    /// Whether the job is of this order.
    pub fn is_of(self, order: OrderRef) -> bool {
        Self::of_order(self.offer_id(), self.price(), self.gpus(), order, self.delegation()) == Some(self)
    }

    /// Offer that was ordered.
    pub fn offer_id(self) -> OfferId {
        OfferId(self.part::<0, 8>().into())
    }

    /// Locked price, token units per GPU-hour.
    pub fn price(self) -> u128 {
        self.part::<8, 10>().into_iter().fold(0, |price, byte| price << 8 | u128::from(byte))
    }

    /// Number of GPUs.
    pub fn gpus(self) -> u16 {
        u16::from_be_bytes(self.part::<18, 2>())
    }

    /// What tells orders of one offer, price and number of GPUs apart: 95 bits of a hash, or a delegation and 64 bits.
    pub fn order(self) -> FixedBytes<12> {
        self.part::<20, 12>().into()
    }

    /// Delegation by which the order was placed.
    pub fn delegation(self) -> Option<NonZero<u32>> {
        let [first, rest @ ..] = self.part::<20, 4>();
        (first & DELEGATED != 0).then_some(())?;
        NonZero::new(u32::from_be_bytes([first & !DELEGATED, rest[0], rest[1], rest[2]]))
    }

    /// Use of this job in one word (`Use` of the market): the count stands in the offer's place.
    pub fn with_use(self, used: GpuSeconds) -> B256 {
        let mut word = self.0;
        word[..8].copy_from_slice(&used.0.to_be_bytes());
        word
    }

    /// The job of a use that was claimed of an offer, and the count.
    pub fn of_use(word: B256, offer: OfferId) -> (Self, GpuSeconds) {
        let count = Self(word).part::<0, 8>();
        let mut id = word;
        id[..8].copy_from_slice(offer.0.as_slice());
        (Self(id), GpuSeconds(u64::from_be_bytes(count)))
    }

    /// Name of the order's `ComputeJob` in every cluster: the same order always has the same one, so seeing it twice is
    /// harmless.
    pub fn resource_name(self) -> String {
        format!("job-{}", hex::encode(&keccak256(self.0)[..8]))
    }

    /// Token units that the market holds for this many seconds of this job: see [`deposit`].
    pub fn deposit(self, duration_seconds: u32) -> U256 {
        deposit(self.price(), self.gpus(), duration_seconds)
    }

    /// Token units paid, fee included, once this many GPU-seconds were claimed: see [`paid`].
    pub fn paid(self, gpu_seconds: u64) -> U256 {
        paid(self.price(), gpu_seconds)
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

/// Token units paid at a price per GPU-hour, fee included, for this many GPU-seconds: rounded down.
pub fn paid(price: u128, gpu_seconds: u64) -> U256 {
    U256::from(price) * U256::from(gpu_seconds) / U256::from(SECONDS_PER_HOUR)
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

id!(OfferId, FixedBytes<8>, "an offer's id");
id!(JobId, B256, "a job's id");

#[cfg(test)]
mod tests {
    use alloy::primitives::Address;

    use super::*;

    fn id() -> JobId {
        let offer = OfferId(FixedBytes([0xab; 8]));
        JobId::from_parts(offer, 2_500_000, 8, FixedBytes([0x5d; 12])).unwrap()
    }

    fn order() -> OrderRef {
        OrderRef { customer: Address::repeat_byte(1), hash: B256::repeat_byte(2) }
    }

    #[test]
    fn a_job_id_gives_back_its_parts() {
        assert_eq!(id().offer_id(), OfferId(FixedBytes([0xab; 8])));
        assert_eq!(id().price(), 2_500_000);
        assert_eq!(id().gpus(), 8);
        assert_eq!(id().order(), FixedBytes([0x5d; 12]));
        assert_eq!(id().delegation(), None);
        assert_eq!(id().to_string(), format!("0x{}000000000000002625a00008{}", "ab".repeat(8), "5d".repeat(12)));
    }

    #[test]
    fn an_order_is_known_by_its_job_and_no_other_is() {
        for delegation in [None, NonZero::new(7), NonZero::new(u32::MAX >> 1)] {
            let id = JobId::of_order(id().offer_id(), 5, 2, order(), delegation).unwrap();
            assert_eq!((id.delegation(), id.price(), id.gpus()), (delegation, 5, 2));
            assert!(id.is_of(order()));
            assert!(!id.is_of(OrderRef { customer: Address::repeat_byte(9), ..order() }));
            assert!(!id.is_of(OrderRef { hash: B256::repeat_byte(9), ..order() }));
            let dearer = JobId::from_parts(id.offer_id(), 6, 2, id.order()).unwrap();
            assert!(!dearer.is_of(order()), "the hash covers the price");
        }
    }

    #[test]
    fn a_use_is_the_job_with_the_count_in_the_offers_place() {
        let word = id().with_use(GpuSeconds(0x0102));
        assert_eq!(word[..8], [0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(word[8..], id().0[8..]);
        assert_eq!(JobId::of_use(word, id().offer_id()), (id(), GpuSeconds(0x0102)));
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
        let other = JobId::from_parts(id().offer_id(), 2_500_001, 8, id().order()).unwrap();
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
