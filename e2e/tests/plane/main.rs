//! The operator's own program before an API server that hangs, goes away and comes back, on a busy cluster, and among its replicas. Each test
//! has a control plane of its own, without nodes that run anything. Run by `cargo xtask test`; the programs are named by `HAWSER_OPERATOR`
//! and `HAWSER_SIDECAR`.

mod admission;
mod another_network;
mod busy;
mod claims;
mod definitions;
mod deletion;
mod duplicates;
mod endpoints;
mod frozen;
mod kinds;
mod leadership;
mod lease_hub;
mod lease_pod;
mod looks;
mod replica;
mod schema;
mod settled;
mod stopping;
mod testbed;
mod torn;
mod unreadable;
mod upgrade;
