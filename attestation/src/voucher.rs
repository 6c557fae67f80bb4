//! An attestor's signature over a job's use so far (EIP-712 `UsageVoucher`).

use alloy::{
    primitives::{Address, B256},
    signers::{SignerSync, local::PrivateKeySigner},
    sol_types::SolStruct,
};
use hawser_market::{GpuSeconds, JobId, UsageVoucher};
use serde::{Deserialize, Serialize};

use crate::{EvidenceRoot, InvalidSignature, MarketId, VoucherSignature};

/// An attestor's word on a job's use so far: cumulative, so only the newest matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignedVoucher {
    /// The job that was used.
    pub job: JobId,
    /// Use since the job's start.
    pub gpu_seconds: GpuSeconds,
    /// Head of the evidence that the count rests on.
    pub evidence_root: EvidenceRoot,
    /// The attestor's signature.
    pub signature: VoucherSignature,
}

impl SignedVoucher {
    /// Signs with the attestor's key.
    pub fn sign(
        key: &PrivateKeySigner,
        market: MarketId,
        job: JobId,
        gpu_seconds: GpuSeconds,
        evidence_root: EvidenceRoot,
    ) -> Result<Self, SignError> {
        let hash = signing_hash(market, job, gpu_seconds, evidence_root);
        let signature = VoucherSignature::try_from(key.sign_hash_sync(&hash)?)?;
        Ok(Self { job, gpu_seconds, evidence_root, signature })
    }

    /// Address of the key that signed this voucher for this market.
    pub fn attestor(&self, market: MarketId) -> Result<Address, InvalidSignature> {
        let hash = signing_hash(market, self.job, self.gpu_seconds, self.evidence_root);
        self.signature.signer(hash)
    }
}

fn signing_hash(market: MarketId, job: JobId, used: GpuSeconds, root: EvidenceRoot) -> B256 {
    UsageVoucher::new(job, used.0, root.0).eip712_signing_hash(&market.domain())
}

/// Why a voucher could not be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The key refused.
    #[error("the attestor's key can't sign: {0}")]
    Key(#[from] alloy::signers::Error),
    /// The key gave a signature that the market would refuse.
    #[error("the attestor's key gave an unusable signature: {0}")]
    Signature(#[from] InvalidSignature),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voucher(key: &PrivateKeySigner) -> SignedVoucher {
        SignedVoucher::sign(
            key,
            market(),
            JobId(B256::repeat_byte(7)),
            GpuSeconds(12),
            EvidenceRoot::EMPTY.then(b"line"),
        )
        .unwrap()
    }

    fn market() -> MarketId {
        MarketId { chain_id: 31337, address: Address::repeat_byte(9) }
    }

    #[test]
    fn a_voucher_names_its_signer() {
        let key = PrivateKeySigner::random();
        assert_eq!(voucher(&key).attestor(market()), Ok(key.address()));
    }

    #[test]
    fn a_voucher_for_another_market_or_count_names_somebody_else() {
        let key = PrivateKeySigner::random();
        let other_market = MarketId { chain_id: 1, ..market() };
        assert_ne!(voucher(&key).attestor(other_market), Ok(key.address()));
        let more = SignedVoucher { gpu_seconds: GpuSeconds(13), ..voucher(&key) };
        assert_ne!(more.attestor(market()), Ok(key.address()));
    }

    #[test]
    fn both_forms_of_a_signature_are_read() {
        let signature = voucher(&PrivateKeySigner::random()).signature;
        assert_eq!(VoucherSignature::from_bytes(&signature.to_bytes()), Ok(signature));
        assert_eq!(VoucherSignature::from_bytes(&signature.to_compact()), Ok(signature));
        assert_eq!(signature.to_string().parse(), Ok(signature));
    }

    #[test]
    fn a_second_form_of_the_same_signature_is_refused() {
        let signature = voucher(&PrivateKeySigner::random()).signature;
        let upper = signature.to_string().to_uppercase().replacen("0X", "0x", 1);
        assert_eq!(upper.parse::<VoucherSignature>(), Err(InvalidSignature::Hex));
        let mut parity = signature.to_bytes();
        parity[64] -= 27;
        assert_eq!(VoucherSignature::from_bytes(&parity), Err(InvalidSignature::RecoveryByte(parity[64])));
        let flipped = alloy::primitives::Signature::from(signature);
        let order = alloy::primitives::uint!(0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141_U256);
        let high = alloy::primitives::Signature::new(flipped.r(), order - flipped.s(), !flipped.v());
        assert_eq!(VoucherSignature::try_from(high), Err(InvalidSignature::HighS));
    }
}
