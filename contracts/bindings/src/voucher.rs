//! What an attestor signs (EIP-712), and how it goes into a claim (EIP-2098).

use alloy::{
    primitives::{Address, B256, Signature, U256},
    sol_types::{Eip712Domain, eip712_domain as domain},
};

use crate::{ComputeMarket, JobId};

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
    /// Voucher for so many GPU-seconds since the job's start.
    pub fn new(job: JobId, gpu_seconds: u64, evidence_root: B256) -> Self {
        Self {
            jobId: job.0,
            gpuSeconds: U256::from(gpu_seconds),
            evidenceRoot: evidence_root,
        }
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
    let compact = signature.normalized_s().as_erc2098();
    let (r, vs) = compact.split_at(32);
    Some(ComputeMarket::Voucher {
        jobId: voucher.jobId,
        gpuSeconds: voucher.gpuSeconds.try_into().ok()?,
        evidenceRoot: voucher.evidenceRoot,
        r: B256::from_slice(r),
        vs: B256::from_slice(vs),
    })
}
