//! An offer: what a provider writes, and how the network holds it.

use hawser_market::GpuSeconds;
use jiff::Timestamp;

use super::{OfferId, TokenId, Units};

/// What an offer is, before a network has made its own terms of it. None of it can change under a customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferTerms {
    /// `cluster/namespace/name` of the `GpuOffer`: deleted and made again, it is the same offer.
    pub name: String,
    /// The GPUs' product name, as GPU feature discovery labels nodes with it.
    pub product: String,
    /// What it is paid in.
    pub token: TokenId,
    /// Seconds after the order in which the job can be started.
    pub start_window_seconds: u32,
    /// Seconds after a job's end in which its use can be claimed.
    pub claim_window_seconds: u32,
    /// Shortest order, in seconds.
    pub min_seconds: u32,
    /// Longest order, in seconds, top-ups included.
    pub max_seconds: u32,
}

/// An offer as the network holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Its name.
    pub id: OfferId,
    /// Token units per GPU-hour.
    pub price: u128,
    /// Most GPUs that one order can ask for.
    pub available: u16,
    /// Last second at which an order is taken.
    pub valid_until: Timestamp,
    /// Paid so far over all jobs of the offer.
    pub settled: GpuSeconds,
    /// Token units paid so far over all jobs of the offer, fee included.
    pub settled_amount: Units,
}

/// An offer to be posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferPost {
    /// The network's name for these terms.
    pub offer: OfferId,
    /// What never changes.
    pub terms: OfferTerms,
    /// Token units per GPU-hour.
    pub price: u128,
    /// Most GPUs that one order can ask for.
    pub available: u16,
    /// Last second at which an order is taken.
    pub valid_until: Timestamp,
    /// Free text about the offer (JSON).
    pub card: String,
}
