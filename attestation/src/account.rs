//! What attestors and hashes are, in evidence of every network.

use alloy::{
    primitives::{Address, B256, keccak256},
    signers::local::PrivateKeySigner,
};

/// An attestor: the account of its secp256k1 key, as Ethereum makes one.
pub type Attestor = Address;

/// An attestor's key.
pub type AttestorKey = PrivateKeySigner;

/// A keccak-256 hash.
pub type Digest = B256;

/// The keccak-256 hash of these bytes.
pub fn digest(bytes: impl AsRef<[u8]>) -> Digest {
    keccak256(bytes)
}
