//! An order as a customer placed it, and up to where orders were seen.

use alloy::primitives::{B256, Bytes, U256, keccak256};
use hawser_crds as crd;
use hawser_market::{JobId, OfferId, OrderRef};

use super::{Block, SpecError};

/// An order that was placed and paid for, as its logs say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvmOrder {
    /// Name of the job; carries price and GPUs.
    pub job: JobId,
    /// The offer, one of this network's provider.
    pub offer: OfferId,
    /// Whose order it is, and the network's hash of it.
    pub by: OrderRef,
    /// Seconds ordered.
    pub duration_seconds: u32,
    /// Hash of the public spec.
    pub spec_hash: B256,
    /// The public spec as the customer wrote it: hostile until parsed. None where it was not posted.
    pub spec: Option<Bytes>,
    /// The block that holds it; at least the network's confirmations deep.
    pub block: Block,
    /// The transaction that placed it.
    pub tx: B256,
}

impl EvmOrder {
    /// Whether the id is that of this very order: it holds the offer and a hash over price, GPUs, customer and the order's
    /// own hash, which duration and hash of the spec are in. An endpoint can't show anything else under it.
    pub fn is_what_its_id_says(&self) -> bool {
        self.job.offer_id() == self.offer && self.job.is_of(self.by)
    }

    /// Whether a text is the spec that was ordered.
    pub(super) fn is_its_spec(&self, text: &[u8]) -> bool {
        keccak256(text) == self.spec_hash
    }

    /// Token units that the market holds for it.
    pub fn deposit(&self) -> U256 {
        self.job.deposit(self.duration_seconds)
    }
}

/// A block up to which all orders were seen and taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The block's number.
    pub number: u64,
    /// The block's hash when it was read; a reorg shows by another one. None: the block was never read.
    pub hash: Option<B256>,
}

impl TryFrom<&crd::Cursor> for Cursor {
    type Error = SpecError;

    fn try_from(cursor: &crd::Cursor) -> Result<Self, SpecError> {
        let hash = cursor.hash.parse().map_err(|_| SpecError {
            field: "status.cursor.hash",
            value: cursor.hash.clone(),
            expected: "0x and 64 hexadecimal digits",
        })?;
        Ok(Self { number: cursor.block, hash: Some(hash) })
    }
}

impl From<Block> for Cursor {
    fn from(block: Block) -> Self {
        Self { number: block.number, hash: Some(block.hash) }
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::{Address, FixedBytes};

    use super::*;

    #[test]
    fn an_order_under_another_ones_id_is_none() {
        let by = OrderRef { customer: Address::repeat_byte(1), hash: B256::repeat_byte(2) };
        let offer = OfferId(FixedBytes::repeat_byte(7));
        let order = EvmOrder {
            job: JobId::of_order(offer, 5, 2, by, None).unwrap(),
            offer,
            by,
            duration_seconds: 60,
            spec_hash: keccak256("spec"),
            spec: None,
            block: Block { number: 1, hash: B256::ZERO },
            tx: B256::ZERO,
        };
        assert!(order.is_what_its_id_says());
        assert!(order.is_its_spec(b"spec") && !order.is_its_spec(b"another"));
        for wrong in [
            EvmOrder { by: OrderRef { customer: Address::repeat_byte(3), ..by }, ..order.clone() },
            EvmOrder { by: OrderRef { hash: B256::repeat_byte(3), ..by }, ..order.clone() },
            EvmOrder { offer: OfferId(FixedBytes::repeat_byte(8)), ..order.clone() },
        ] {
            assert!(!wrong.is_what_its_id_says(), "{wrong:?}");
        }
    }
}
