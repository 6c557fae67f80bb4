//! Everything that can happen to an order, on a real cluster and real EVM nodes. Run by `cargo xtask test`: those
//! that share an operator, side by side, and those of [`deadly`], which kill it, one by one on another cluster. Those that only the local
//! cluster can pass are ignored unless asked for (`--include-ignored`, as `cargo xtask test` does where the cluster is the local one).

mod busy;
mod clocks;
mod deadly;
mod deep;
mod deletion;
mod evidence;
mod faults;
mod forgery;
mod geth;
mod injected;
mod isolation;
mod lifecycle;
mod node;
mod permissions;
mod programs;
mod quotas;
mod refusals;
mod served;
mod tenants;
mod testbed;
