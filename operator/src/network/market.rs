use std::fmt;

use alloy::{
    primitives::{Address, B256, FixedBytes, U256, keccak256},
    sol_types::SolValue,
};
use hawser_contracts::{ComputeMarket, JobId, OfferId};
use jiff::Timestamp;

/// Seconds of use summed over a job's GPUs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GpuSeconds(pub u64);

impl std::fmt::Display for GpuSeconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} GPU-seconds", self.0)
    }
}

/// A gas price, in wei (EIP-1559).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct WeiPerGas(pub u128);

impl WeiPerGas {
    /// From gwei (1e9 wei), cut at the highest value that can be said.
    pub const fn from_gwei(gwei: u64) -> Self {
        Self((gwei as u128) * 1_000_000_000)
    }
}

impl std::fmt::Display for WeiPerGas {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let milli = self.0 / 1_000_000;
        write!(f, "{}.{:03} gwei", milli / 1000, milli % 1000)
    }
}

/// Where a job stands on chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobStatus {
    /// Never ordered, or ordered in a block that a reorg took away.
    None,
    /// Ordered and paid for, not started.
    Open,
    /// Started; its end lies ahead.
    Running,
    /// Its end has passed; its use can be claimed until [`ChainJob::refundable_from`].
    Ended,
    /// Nothing of its deposit is held any more.
    Closed,
}

impl fmt::Display for JobStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "not ordered",
            Self::Open => "ordered and not started",
            Self::Running => "running",
            Self::Ended => "past its end",
            Self::Closed => "closed",
        })
    }
}

/// A job as the market holds it. Price and GPUs stand in its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainJob {
    /// Name of the job.
    pub id: JobId,
    /// Where it stands.
    pub status: JobStatus,
    /// Who ordered and paid.
    pub customer: Address,
    /// Whose vouchers count; none before the start.
    pub attestor: Option<Address>,
    /// Seconds paid for, as topped up or shortened; 0 once closed.
    pub duration_seconds: u32,
    /// Last second at which it can be started.
    pub start_deadline: Timestamp,
    /// When it was started.
    pub started: Option<Timestamp>,
    /// When it ends: `started + duration`; none before the start and once closed.
    pub end: Option<Timestamp>,
    /// An end earlier than the paid one was announced.
    pub ending: bool,
    /// From here on anybody can close it, and what was not claimed is lost to the provider; none once closed.
    pub refundable_from: Option<Timestamp>,
    /// Claimed so far.
    pub used: GpuSeconds,
    /// Token units for the whole duration; once closed, what was paid.
    pub deposit: U256,
    /// Token units claimed so far, fee included.
    pub paid: U256,
}

/// What an offer is. All of it is hashed into the offer's id, so none of it can change under a customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferTerms {
    /// Provider's cold key.
    pub provider: Address,
    /// ERC-20 token of the price.
    pub token: Address,
    /// GPU class: the product's name in UTF-8, zero-padded, or its keccak-256 where it is longer than 32 bytes.
    pub gpu_class: B256,
    /// Seconds after the order in which the job can be started.
    pub start_window_seconds: u32,
    /// Seconds after a job's end in which its use can be claimed.
    pub claim_window_seconds: u32,
    /// Shortest order, in seconds.
    pub min_seconds: u32,
    /// Longest order, in seconds, top-ups included.
    pub max_seconds: u32,
    /// Tells apart offers that are otherwise the same.
    pub salt: B256,
}

/// An offer as the market holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainOffer {
    /// Name of the offer.
    pub id: OfferId,
    /// What never changes.
    pub terms: OfferTerms,
    /// Token units per GPU-hour.
    pub price: u128,
    /// Most GPUs that one order can ask for.
    pub available: u16,
    /// Last second at which an order is taken.
    pub valid_until: Timestamp,
    /// Paid so far over all jobs of the offer.
    pub settled: GpuSeconds,
    /// Token units paid so far over all jobs of the offer, fee included.
    pub settled_amount: U256,
}

/// An ERC-20 token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Digits after the point of a whole token.
    pub decimals: u8,
    /// Its symbol; empty where the contract has none.
    pub symbol: String,
}

impl OfferTerms {
    /// Name of the offer with these terms: the first 96 bits of the hash of their ABI encoding.
    pub fn id(&self) -> OfferId {
        let hash = keccak256(ComputeMarket::OfferTerms::from(self).abi_encode());
        let mut id = FixedBytes::ZERO;
        id.copy_from_slice(&hash[..12]);
        OfferId(id)
    }
}

impl From<&OfferTerms> for ComputeMarket::OfferTerms {
    fn from(terms: &OfferTerms) -> Self {
        Self {
            provider: terms.provider,
            token: terms.token,
            gpuClass: terms.gpu_class,
            startWindow: terms.start_window_seconds,
            claimWindow: terms.claim_window_seconds,
            minDuration: terms.min_seconds,
            maxDuration: terms.max_seconds,
            salt: terms.salt,
        }
    }
}
