//! The network against a real EVM node: orders, actions, and what can go wrong between them.
//!
//! `HAWSER_ANVIL` names the anvil binary. Each test has a node of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_debug_implementations,
    unreachable_pub,
    reason = "what a test needs and doesn't get ends it"
)]

mod endpoints;
mod faults;
mod fenced;
mod holes;
mod lagging;
mod latency;
mod lifecycle;
mod limits;
mod node;
mod odd;
mod proxy;
mod quiet;
mod wallets;
