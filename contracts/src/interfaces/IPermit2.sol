// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title What the market calls of Uniswap's Permit2, which has the same address on each chain that it is on
interface IPermit2 {
    /// @notice A token, and the most of it that may be moved.
    struct TokenPermissions {
        address token;
        uint256 amount;
    }

    /// @notice What the owner of tokens signed.
    struct PermitTransferFrom {
        TokenPermissions permitted;
        uint256 nonce;
        uint256 deadline;
    }

    /// @notice What is moved.
    struct SignatureTransferDetails {
        address to;
        uint256 requestedAmount;
    }

    /// @notice Moves tokens by their owner's signature over the permit, the caller and a witness.
    function permitWitnessTransferFrom(
        PermitTransferFrom calldata permit,
        SignatureTransferDetails calldata transferDetails,
        address owner,
        bytes32 witness,
        string calldata witnessTypeString,
        bytes calldata signature
    ) external;
}
