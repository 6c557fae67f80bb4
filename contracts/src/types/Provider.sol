// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @notice A provider's keys. The provider itself is the address of its cold key.
struct Provider {
    /// Hot key that runs the offers; zero where it was revoked.
    address operator;
    /// The only address to which the provider's earnings can be withdrawn. The cold key can also spend them on orders.
    address payout;
}
