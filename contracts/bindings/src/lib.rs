//! The market's ABI in Rust: calls, events and errors generated from the contract's own artifact. What they mean, in types
//! of their own, is the crate `hawser-market`.
//!
//! `abi/*.json` is written by `npm --prefix contracts run artifacts`, so building this crate needs no Solidity tools.

/// `ComputeMarket`: `ComputeMarket::new(address, provider)` to call it, `ComputeMarket::deploy` to create it,
/// `ComputeMarket::ComputeMarketErrors` and `ComputeMarket::ComputeMarketEvents` to decode what it answers.
#[allow(
    missing_debug_implementations,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    reason = "generated from the ABI"
)]
mod market {
    alloy::sol!(
        #[sol(rpc, all_derives)]
        ComputeMarket,
        "abi/ComputeMarket.json"
    );
}
pub use market::ComputeMarket;

/// `TestToken`, an ERC-20 with permit that anybody can mint: the payment token of tests and of the local cluster.
#[allow(
    missing_debug_implementations,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    reason = "generated from the ABI"
)]
mod test_token {
    alloy::sol!(
        #[sol(rpc)]
        TestToken,
        "abi/TestToken.json"
    );
}
pub use test_token::TestToken;
