//! Hawser on a real cluster and a real EVM node: what the demo and the
//! end-to-end tests have in common.

pub mod chain;
pub mod environment;
pub mod explain;
pub mod run;
pub mod wait;
