//! What gas costs.

use std::fmt;

/// A gas price, in wei (EIP-1559).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct WeiPerGas(pub u128);

impl WeiPerGas {
    /// From gwei (1e9 wei), cut at the highest value that can be said.
    pub const fn from_gwei(gwei: u64) -> Self {
        Self((gwei as u128) * 1_000_000_000)
    }
}

impl fmt::Display for WeiPerGas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milli = self.0 / 1_000_000;
        write!(f, "{}.{:03} gwei", milli / 1000, milli % 1000)
    }
}
