//! The built `hawser` against a real EVM node: each test has a node and a market of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

mod calldata;
mod customer;
mod earnings;
mod endpoints;
mod evidence;
mod limits;
mod provider;
mod retry;
mod stage;
mod troubles;
mod until;
