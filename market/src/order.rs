//! An order: what proves whose job it is.

use alloy::{
    primitives::{Address, B256, U256, keccak256},
    sol_types::{SolStruct, SolValue},
};
use hawser_contracts::ComputeMarket;

use crate::{JobId, eip712_domain};

/// Whose an order is and the network's hash of it. The market stores neither: both are hashed into the job's id, and
/// whatever credits a customer is given them again. The default is nobody's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct OrderRef {
    /// Who may end the job, and is credited what comes back.
    pub customer: Address,
    /// Hash of the order, as its log gives it.
    pub hash: B256,
}

impl OrderRef {
    /// Of an order that a customer places on the market at this address of this chain.
    pub fn new(order: &ComputeMarket::Order, chain_id: u64, market: Address) -> Self {
        let digest = order.eip712_signing_hash(&eip712_domain(chain_id, market));
        Self { customer: order.customer, hash: hash(digest, order.duration, order.specHash) }
    }

    /// A job of this order, as calls take it that credit or ask its customer.
    pub fn of_job(self, id: JobId) -> ComputeMarket::JobRef {
        ComputeMarket::JobRef { id: id.0, customer: self.customer, orderHash: self.hash }
    }
}

/// What a log says of an order: with a duration or a spec that are not the order's it gives another hash, which is not in the
/// job's id.
impl From<&ComputeMarket::JobOpened> for OrderRef {
    fn from(opened: &ComputeMarket::JobOpened) -> Self {
        Self { customer: opened.customer, hash: hash(opened.digest, opened.duration, opened.specHash) }
    }
}

fn hash(digest: B256, duration: u32, spec_hash: B256) -> B256 {
    keccak256((digest, U256::from(duration), spec_hash).abi_encode())
}

/// The values that the contract gives for the same order and terms (`contracts/test/unit/IdsForRust.t.sol`).
#[cfg(test)]
mod tests {
    use std::num::NonZero;

    use alloy::primitives::{FixedBytes, address, b256, fixed_bytes};

    use super::*;
    use crate::{OfferId, OfferTerms};

    const CHAIN: u64 = 31_337;
    const MARKET: Address = address!("5615dEB798BB3E4dFa0139dFa1b3D433Cc23b72f");

    fn order() -> ComputeMarket::Order {
        ComputeMarket::Order {
            offerId: FixedBytes([0xab; 8]),
            customer: address!("0000000000000000000000000000000000000005"),
            gpus: 8,
            duration: 3600,
            maxPrice: 2_500_000,
            deadline: 1_800_000_000,
            salt: U256::from(6),
            specHash: keccak256("spec"),
            specOffChain: true,
        }
    }

    #[test]
    fn an_order_has_the_hash_that_the_contract_gives_it() {
        let hash = b256!("7ddcd0e8448f6cb61e14a3be5daa70616e398dff0a53d4856799343143f95838");
        assert_eq!(OrderRef::new(&order(), CHAIN, MARKET).hash, hash);
    }

    #[test]
    fn a_job_has_the_id_that_the_contract_gives_it() {
        let order = OrderRef::new(&order(), CHAIN, MARKET);
        let id = |delegation| JobId::of_order(OfferId(FixedBytes([0xab; 8])), 2_500_000, 8, order, delegation);
        assert_eq!(id(None), Some(JobId(b256!("abababababababab000000000000002625a000087e594a607fffb3c002515d75"))));
        assert_eq!(
            id(NonZero::new(7)),
            Some(JobId(b256!("abababababababab000000000000002625a00008800000077fffb3c002515d75")))
        );
    }

    #[test]
    fn an_offer_has_the_id_that_the_contract_gives_it() {
        let mut class = [0; 32];
        class[..11].copy_from_slice(b"NVIDIA-H200");
        let terms = OfferTerms {
            provider: address!("0000000000000000000000000000000000000001"),
            token: address!("0000000000000000000000000000000000000002"),
            gpu_class: class.into(),
            start_window_seconds: 600,
            claim_window_seconds: 7200,
            min_seconds: 60,
            max_seconds: 86_400,
            verifier: address!("0000000000000000000000000000000000000003"),
            salt: B256::with_last_byte(4),
        };
        assert_eq!(terms.id(CHAIN, MARKET), OfferId(fixed_bytes!("1ed852e8909cb453")));
        assert_ne!(terms.id(CHAIN + 1, MARKET), terms.id(CHAIN, MARKET));
        assert_ne!(terms.id(CHAIN, Address::ZERO), terms.id(CHAIN, MARKET));
    }
}
