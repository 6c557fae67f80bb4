//! An offer: the terms that never change, and how it stands now.

use alloy::{
    primitives::{Address, B256, FixedBytes, U256, keccak256},
    sol_types::SolValue,
};
use hawser_contracts::ComputeMarket;
use jiff::Timestamp;

use crate::{GpuSeconds, OfferId, job::timestamp};

/// What an offer is. All of it is hashed into the offer's id, so none of it can change under a customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferTerms {
    /// Provider's cold key.
    pub provider: Address,
    /// ERC-20 token of the price.
    pub token: Address,
    /// GPU class: the product's name in UTF-8, zero-padded, or its keccak-256 if it is longer than 32 bytes.
    pub gpu_class: B256,
    /// Seconds after the order in which the job can be started.
    pub start_window_seconds: u32,
    /// Seconds after a job's end in which its use can be claimed.
    pub claim_window_seconds: u32,
    /// Shortest order, in seconds.
    pub min_seconds: u32,
    /// Longest order, in seconds, top-ups included.
    pub max_seconds: u32,
    /// Contract that each voucher must satisfy besides the attestor's signature; zero for none.
    pub verifier: Address,
    /// Tells apart offers that are otherwise the same.
    pub salt: B256,
}

impl OfferTerms {
    /// Name of the offer with these terms on the market at this address of this chain: the first 64 bits of a hash over all
    /// three.
    pub fn id(&self, chain_id: u64, market: Address) -> OfferId {
        let terms = ComputeMarket::OfferTerms::from(self);
        let hash = keccak256((terms, market, U256::from(chain_id)).abi_encode_params());
        let mut id = FixedBytes::ZERO;
        id.copy_from_slice(&hash[..8]);
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
            verifier: terms.verifier,
            salt: terms.salt,
        }
    }
}

impl From<&ComputeMarket::OfferTerms> for OfferTerms {
    fn from(terms: &ComputeMarket::OfferTerms) -> Self {
        Self {
            provider: terms.provider,
            token: terms.token,
            gpu_class: terms.gpuClass,
            start_window_seconds: terms.startWindow,
            claim_window_seconds: terms.claimWindow,
            min_seconds: terms.minDuration,
            max_seconds: terms.maxDuration,
            verifier: terms.verifier,
            salt: terms.salt,
        }
    }
}

/// An offer as the market holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
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

impl From<&ComputeMarket::Offer> for Offer {
    fn from(offer: &ComputeMarket::Offer) -> Self {
        Self {
            id: OfferId(offer.id),
            terms: (&offer.terms).into(),
            price: offer.price,
            available: offer.available,
            valid_until: timestamp(offer.validUntil),
            settled: GpuSeconds(offer.settledGpuSeconds),
            settled_amount: offer.settledAmount,
        }
    }
}
