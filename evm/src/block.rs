//! Blocks, as far as a pool looks at them.

use std::time::Instant;

use alloy::primitives::B256;
use jiff::Timestamp;

/// A block, by number and hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Block {
    /// Number.
    pub number: u64,
    /// Hash: two blocks of one number are told apart by it.
    pub hash: B256,
}

/// The newest block that an endpoint showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub block: Block,
    /// The block's own time.
    pub time: Timestamp,
    /// When this process first saw it. Its age tells a head that stopped from a chain whose clock is off.
    pub seen: Instant,
    /// EIP-1559 base fee of the block, in wei; none before London.
    pub base_fee: Option<u64>,
    /// Gas that a block can hold.
    pub gas_limit: u64,
}
