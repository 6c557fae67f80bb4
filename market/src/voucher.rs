//! What an attestor signs (EIP-712), and how it goes into a claim (EIP-2098).

use alloy::{
    primitives::{Address, B256, Signature, U256},
    sol_types::{Eip712Domain, eip712_domain as domain},
};
use hawser_contracts::ComputeMarket;

use crate::{GpuSeconds, JobId, OrderRef};

pub use eip712::UsageVoucher;

#[allow(clippy::all, clippy::pedantic, reason = "generated")]
mod eip712 {
    alloy::sol! {
        /// Attested use of a job, cumulative since its start: only the newest voucher matters.
        ///
        /// The digest to sign is `SolStruct::eip712_signing_hash` in the market's [`eip712_domain`](super::eip712_domain).
        #[derive(Debug, PartialEq, Eq, Hash)]
        struct UsageVoucher {
            /// Job that was used.
            bytes32 jobId;
            /// GPU-seconds since the job's start.
            uint256 gpuSeconds;
            /// Head of the hash chain over the evidence that the count rests on.
            bytes32 evidenceRoot;
        }
    }
}

impl UsageVoucher {
    /// Voucher for this many GPU-seconds since the job's start.
    pub fn new(job: JobId, gpu_seconds: u64, evidence_root: B256) -> Self {
        Self { jobId: job.0, gpuSeconds: U256::from(gpu_seconds), evidenceRoot: evidence_root }
    }
}

/// EIP-712 domain of the market at this address of this chain.
pub fn eip712_domain(chain_id: u64, market: Address) -> Eip712Domain {
    domain! {
        name: "Hawser ComputeMarket",
        version: "1",
        chain_id: chain_id,
        verifying_contract: market,
    }
}

/// A voucher with its attestor's signature, as `claim` takes it; `None` where the count needs more than 64 bits.
pub fn signed_voucher(voucher: &UsageVoucher, signature: &Signature) -> Option<ComputeMarket::Voucher> {
    let (r, vs) = compact(signature);
    Some(ComputeMarket::Voucher { r#use: in_one_word(voucher)?, evidenceRoot: voucher.evidenceRoot, r, vs })
}

/// A job's last voucher with its attestor's signature, as `settle` takes it; `None` where the count needs more than 64 bits.
pub fn last_voucher(
    voucher: &UsageVoucher,
    signature: &Signature,
    order: OrderRef,
) -> Option<ComputeMarket::LastVoucher> {
    let (r, vs) = compact(signature);
    Some(ComputeMarket::LastVoucher {
        r#use: in_one_word(voucher)?,
        evidenceRoot: voucher.evidenceRoot,
        r,
        vs,
        customer: order.customer,
        orderHash: order.hash,
    })
}

fn in_one_word(voucher: &UsageVoucher) -> Option<B256> {
    Some(JobId(voucher.jobId).with_use(GpuSeconds(voucher.gpuSeconds.try_into().ok()?)))
}

fn compact(signature: &Signature) -> (B256, B256) {
    let bytes = signature.normalized_s().as_erc2098();
    let (r, vs) = bytes.split_at(32);
    (B256::from_slice(r), B256::from_slice(vs))
}

#[cfg(test)]
mod tests {
    use alloy::{
        primitives::{address, b256},
        sol_types::SolStruct,
    };

    use super::*;

    /// The digest that the contract's `voucherDigest` gives for the same values (`VoucherDigest.t.sol`).
    #[test]
    fn the_digest_is_the_one_that_the_contract_checks() {
        let domain = eip712_domain(31337, address!("5615dEB798BB3E4dFa0139dFa1b3D433Cc23b72f"));
        let job = JobId(b256!("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"));
        let voucher = UsageVoucher::new(job, 5400, B256::repeat_byte(0xee));
        assert_eq!(
            voucher.eip712_signing_hash(&domain),
            b256!("5ef4e4cac7b2ee85c9d3c4f634f0b6d4920cf3518584560eaf6efda3d06ef695")
        );
    }

    #[test]
    fn a_signature_goes_into_the_claim_in_compact_form() {
        let voucher = UsageVoucher::new(JobId(B256::ZERO), 7, B256::ZERO);
        let signature = Signature::new(U256::from(1), U256::from(2), true);
        let order = OrderRef { customer: Address::repeat_byte(3), hash: B256::repeat_byte(4) };
        let signed = signed_voucher(&voucher, &signature).unwrap();
        let last = last_voucher(&voucher, &signature, order).unwrap();
        assert_eq!(signed.r, B256::with_last_byte(1));
        assert_eq!(signed.vs, b256!("8000000000000000000000000000000000000000000000000000000000000002"));
        assert_eq!(signed.r#use, b256!("0000000000000007000000000000000000000000000000000000000000000000"));
        assert_eq!((last.r, last.vs, last.r#use), (signed.r, signed.vs, signed.r#use));
        assert_eq!((last.customer, last.orderHash), (order.customer, order.hash));
    }

    #[test]
    fn a_count_beyond_64_bits_can_not_be_claimed() {
        let mut voucher = UsageVoucher::new(JobId(B256::ZERO), u64::MAX, B256::ZERO);
        let signature = Signature::new(U256::from(1), U256::from(2), true);
        assert!(signed_voucher(&voucher, &signature).is_some());
        voucher.gpuSeconds += U256::from(1);
        assert!(signed_voucher(&voucher, &signature).is_none());
    }
}
