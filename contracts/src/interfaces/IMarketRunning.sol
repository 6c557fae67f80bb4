// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {JobId} from "../types/JobId.sol";
import {JobRef} from "../types/Order.sol";

/// @title What a provider does with orders, and what time does
/// @notice An item of a batch that can't be done is skipped; only the errors that are named here, which concern the whole
/// call, and want of gas fail a batch.
interface IMarketRunning {
    /// @notice Turns orders down that were not started; their deposits are credited back in full.
    /// @dev By the operator; skips with `NotOperator`, `NotLive`, `AlreadyStarted`, `WrongOrder`. Errors: `TextTooLong`. Event:
    /// `JobDeclined` for each.
    /// @param refs Jobs, with what proves whose they are.
    /// @param reason Said to the customers, in the log of each: at most `MAX_REASON` bytes.
    /// @return done How many were declined.
    function declineJobs(JobRef[] calldata refs, string calldata reason) external returns (uint256 done);

    /// @notice Starts jobs, or gives started ones another attestor, for as long as their use can be claimed.
    /// @dev By the operator; skips with `NotOperator`, `NotLive`, `ZeroAttestor`, `DeadlinePassed`, `AlreadyEnded`. Errors:
    /// `LengthMismatch`. Events: `JobStarted` or `AttestorRotated` for each. A rotation keeps start and count, and makes the
    /// earlier attestor's vouchers worthless: an operator that rotates claims the last of them first, in one `multicall`
    /// with the rotation where it must not be lost. The new attestor goes on from the earlier one's count. That works
    /// until the claim window ends, so that one whom a thief of the hot key named in a job's last second can be replaced.
    /// @param ids Jobs; those of one offer side by side cost least.
    /// @param attestors Whose signature counts, one per job.
    /// @return done How many were started or rotated.
    function startJobs(JobId[] calldata ids, address[] calldata attestors) external returns (uint256 done);

    /// @notice Ends started jobs, at once or with notice.
    /// @dev By the operator; skips with `NotOperator`, `NotLive`, `NotStarted`, `UnclaimedUse`, `EndPassed`, `EndNotEarlier`,
    /// `WrongOrder`. Errors: `LengthMismatch`, `TextTooLong`. Events: `JobEnded` or `JobEndAnnounced` for each.
    /// @param refs Jobs, with what proves whose they are.
    /// @param endAt 0 ends at once and for good: what was not claimed goes back to the customer and nothing can be claimed
    /// any more. Otherwise a second in the future: time after it is credited back now, claims go on. A notice that is mined in
    /// its second or later ends nothing.
    /// @param expectUsed GPU-seconds that must have been claimed, one per job; a job with less is skipped, so that no
    /// claim is lost.
    /// @param reason Said to the customers, in the log of each: at most `MAX_REASON` bytes.
    /// @return done How many were ended.
    function endJobs(JobRef[] calldata refs, uint64 endAt, uint64[] calldata expectUsed, string calldata reason)
        external
        returns (uint256 done);

    /// @notice Closes jobs that were not started by the deadline, or whose claim window has ended; what is left is
    /// credited to the customers.
    /// @dev By anybody; skips with `NotLive`, `TooEarly`, `WrongOrder`. Event: `JobRefunded` for each.
    /// @param refs Jobs, with what proves whose they are.
    /// @return done How many were closed.
    function refund(JobRef[] calldata refs) external returns (uint256 done);

    /// @notice Longest reason of `declineJobs` and `endJobs`, in bytes.
    function MAX_REASON() external pure returns (uint256);
}
