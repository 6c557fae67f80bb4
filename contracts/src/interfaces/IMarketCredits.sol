// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title What accounts are owed, and how tokens come and go
interface IMarketCredits {
    /// @notice Credits an account with tokens of the caller, by its allowance.
    /// @dev By anybody, for anybody: what was credited is the account's alone. A provider's can be withdrawn to its payout address
    /// only. Errors: `ZeroAccount`, `AccountIsTheMarket`, `AmountTooHigh`, `TransferMismatch`. Event: `Deposited`.
    /// @param account Whose credit it becomes.
    /// @param token ERC-20 token.
    /// @param amount Token units, at most 2^128 - 1.
    function deposit(address account, address token, uint256 amount) external;

    /// @notice Sends the caller's credit in a token, all of it or a part. A provider's goes to its payout address only. Where the
    /// token has shrunk the market's balance, what is there is sent and the rest stays credit: who comes last bears the loss.
    /// @dev By anybody, for itself: nobody else can withdraw an account's credit, but `withdrawFor` a provider's. Errors:
    /// `PayoutOnly`, `NothingToWithdraw`, `TransferMismatch`. Event: `Withdrawn`.
    /// @param token ERC-20 token.
    /// @param to Who receives it.
    /// @param most Token units at most; 2^256 - 1 for all.
    /// @return amount Token units sent.
    function withdraw(address token, address to, uint256 most) external returns (uint256 amount);

    /// @notice Sends a provider's whole credit in a token to its payout address, as far as the market has so much of it.
    /// @dev By the operator. Errors: `UnknownProvider`, `NotOperator`, `NothingToWithdraw`, `TransferMismatch`. Event:
    /// `Withdrawn`.
    /// @param account The provider.
    /// @param token ERC-20 token.
    /// @return amount Token units sent.
    function withdrawFor(address account, address token) external returns (uint256 amount);

    /// @notice Gives this market an allowance over the caller's tokens by signature (ERC-2612), to be used in one
    /// `multicall` with `openJob`, `topUp` or `deposit`. A failure is ignored: the allowance may be there already, because
    /// somebody else sent the same signature first. So is an address without code.
    /// @dev By anybody; only the caller's own signature serves.
    /// @param token ERC-20 token with permit.
    /// @param value Token units of the allowance.
    /// @param deadline Last second at which the signature counts.
    /// @param v Of the signature.
    /// @param r Of the signature.
    /// @param s Of the signature.
    function permit(address token, uint256 value, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external;

    /// @notice Token units that an account can withdraw or spend on orders.
    function credit(address account, address token) external view returns (uint256);
}
