//! What an attestor signs to open a stream to the operator.

use alloy::{primitives::B256, sol_types::SolStruct};
use hawser_market::JobId;

use crate::MarketId;

#[allow(clippy::pedantic, reason = "generated")]
mod eip712 {
    alloy::sol! {
        struct Session {
            bytes32 jobId;
            bytes32 nonce;
        }
    }
}

/// What an attestor signs to open a stream: EIP-712 `Session(bytes32 jobId,bytes32 nonce)` in the market's domain,
/// with the nonce from the operator's `Hello`. No proof serves a second stream.
pub fn session_proof_hash(market: MarketId, job: JobId, nonce: B256) -> B256 {
    eip712::Session { jobId: job.0, nonce }.eip712_signing_hash(&market.domain())
}
