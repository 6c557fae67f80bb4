// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @notice What somebody may spend of another's credit.
struct Delegation {
    /// Whose credit pays, and who is credited what comes back.
    address principal;
    /// Who may order and top up with it.
    address delegate;
    /// ERC-20 token.
    address token;
    /// Token units that can be spent in one day of UTC.
    uint112 perDay;
    /// Token units spent today.
    uint112 spentToday;
    /// Last second at which anything can be spent; 0 where it was revoked.
    uint64 until;
}
