//! Pools over endpoints that answer as a test says, and what is nowhere but in this crate.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_debug_implementations,
    unreachable_pub,
    reason = "what a test needs and doesn't get ends it"
)]

mod answers;
mod fake;
mod names;
