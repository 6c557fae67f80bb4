//! What an EVM network is made from, on Kubernetes' side: `spec.evm`, and the Secrets that it names with the wallet and with
//! endpoints that are secret too. No other module of the controllers knows what an EVM is.

mod endpoints;
mod wallet;

pub(super) use wallet::{Source, read};
