// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {OfferId} from "../types/OfferId.sol";
import {LastVoucher, Voucher} from "../types/Voucher.sol";

/// @title Claims
interface IMarketClaims {
    /// @notice Pays attested use of jobs of one offer: `floor(price * used / 3600)` in all, less what was paid before. Use
    /// is cumulative and is cut to `gpus * (min(now, end) - started)`; a voucher that was cut can be claimed again later
    /// for the rest. A claim never closes a job.
    /// @dev By anybody: it pays the provider and the fee sink only. It moves no tokens, so it goes on where a token stands
    /// still. A chain that takes no transactions for longer than the claim window loses what was not claimed. Skips with
    /// `NotLive`, `NotStarted`, `ClaimWindowPassed`, `Stale`, `BadSignature`, `Unverified`. Errors: `UnknownOffer`,
    /// `LengthMismatch`, `TooLittleGas`. Event: one `UsageClaimed`, where anything was paid.
    /// @param offerId Offer of all of the jobs.
    /// @param vouchers Vouchers.
    /// @param proofs What the offer's verifier is told of each voucher; may be left empty, and is not read where there is no
    /// verifier.
    /// @return done How many vouchers were paid.
    function claim(OfferId offerId, Voucher[] calldata vouchers, bytes[] calldata proofs)
        external
        returns (uint256 done);

    /// @notice Pays the last vouchers of jobs and closes these for good, whether their time is over or not: what is left is
    /// credited to the customers. A voucher that adds nothing to what was claimed is not looked at, and its job is closed
    /// too, so that nobody can hinder that by claiming first.
    /// @dev By the operator. A job of which more is signed for than can be paid yet is skipped, so that no claim is lost.
    /// Skips with `NotLive`, `NotStarted`, `UnclaimedUse`, `ClaimWindowPassed`, `BadSignature`, `Unverified`, `WrongOrder`.
    /// Errors: `UnknownOffer`, `LengthMismatch`, `UnknownProvider`, `NotOperator`, `TooLittleGas`. Events: `JobSettled` for
    /// each job, and one `UsageClaimed` where anything was paid.
    /// @param offerId Offer of all of the jobs.
    /// @param vouchers Last vouchers; jobs of one customer side by side cost least.
    /// @param proofs As of `claim`.
    /// @return done How many jobs were closed.
    function settle(OfferId offerId, LastVoucher[] calldata vouchers, bytes[] calldata proofs)
        external
        returns (uint256 done);

    /// @notice Gas that an offer's verifier is given for one voucher, and not less: where that isn't left, the call fails.
    function VERIFIER_GAS() external pure returns (uint256);
}
