//! Everything that can happen to an order, on a real cluster and a real EVM node. Run by `cargo xtask test`, one test
//! after the other: some of them kill the operator. Those that only the local cluster can pass are ignored unless asked
//! for (`--include-ignored`, as `cargo xtask test` does where the cluster is the local one).

mod death;
mod deep;
mod deletion;
mod evidence;
mod faults;
mod forgery;
mod geth;
mod line;
mod permissions;
mod refusals;
mod scene;
mod twice;
