//! Hawser's custom resources (group `hawser.dev`, version `v1alpha1`) as Rust
//! types. The YAML under `charts/hawser-crds` is generated from them.

#![allow(unreachable_pub, reason = "kube's derive makes public types inside private modules")]

mod compute_job;
pub mod condition;
mod confirmations;
mod definitions;
mod depin_network;
mod gpu_offer;
mod wallet;

pub use compute_job::*;
pub use confirmations::*;
pub use definitions::*;
pub use depin_network::*;
pub use gpu_offer::*;
pub use wallet::*;
