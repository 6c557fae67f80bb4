//! An order as a customer placed it, and up to where orders were seen.

use alloy::{
    primitives::{Address, B256, Bytes, U256, keccak256},
    sol_types::SolValue,
};
use hawser_crds as crd;
use hawser_market::{JobId, OfferId};
use jiff::Timestamp;

use super::{Block, SpecError};

/// An order that a customer placed and paid for, as its log says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Name of the job; carries price and GPUs.
    pub job: JobId,
    /// The offer, one of this network's provider.
    pub offer: OfferId,
    /// Who ordered.
    pub customer: Address,
    /// Seconds ordered.
    pub duration_seconds: u32,
    /// Last second at which it can be started.
    pub start_deadline: Timestamp,
    /// Token units that the market holds for it.
    pub deposit: U256,
    /// The customer's salt.
    pub salt: B256,
    /// The public spec as the customer wrote it: hostile until parsed.
    pub spec: Bytes,
    /// The block that holds it; at least the network's confirmations deep.
    pub block: Block,
    /// The customer's transaction.
    pub tx: B256,
}

impl Order {
    /// Whether the id is that of this very order: it holds a hash over offer, customer, duration, salt and spec, and the
    /// price and GPUs that the deposit is for. An endpoint can't show another order under it.
    pub fn is_what_its_id_says(&self) -> bool {
        let parts = (self.offer.0, self.customer, U256::from(self.duration_seconds), self.salt, keccak256(&self.spec));
        let hash = keccak256(parts.abi_encode_params());
        self.job.offer_id() == self.offer
            && self.job.order_hash().as_slice() == &hash[..8]
            && self.job.deposit(self.duration_seconds) == self.deposit
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
