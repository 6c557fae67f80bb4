//! Which market: in its EIP-712 domain vouchers are signed.

use alloy::{primitives::Address, sol_types::Eip712Domain};
use hawser_market::eip712_domain;
use serde::{Deserialize, Serialize};

/// The `ComputeMarket` that a voucher is made for. A local job has chain 0 and the zero address: its vouchers can be
/// claimed nowhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MarketId {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Address of the contract.
    pub address: Address,
}

impl MarketId {
    /// EIP-712 domain that signatures are made in.
    pub fn domain(&self) -> Eip712Domain {
        eip712_domain(self.chain_id, self.address)
    }
}
