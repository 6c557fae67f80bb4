//! Hawser on a real cluster and a real EVM node: what the demo and the
//! end-to-end tests have in common.

pub mod anvil;
pub mod attacker;
pub mod audit;
pub mod balances;
pub mod before;
pub mod bucket;
pub mod chain;
pub mod cluster;
pub mod conditions;
pub mod customer;
pub mod doubles;
pub mod environment;
pub mod explain;
pub mod fixture;
pub mod geth;
pub mod installation;
pub mod network;
mod node;
pub mod operator;
pub mod order;
pub mod reorg;
pub mod report;
pub mod run;
pub mod wait;
