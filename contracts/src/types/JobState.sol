// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @dev What of a job changes while it runs, in one slot, the only one that a claim writes:
/// `attestor 160 | used 40 | started 32 | duration 24`, most significant bits first.
/// `used` (GPU-seconds) fits because it never exceeds 2^16 GPUs times 2^24 seconds; `started` lasts until 2106.
/// `duration` is never 0 for a live job, so 0 means: none, or closed.
type JobState is uint256;

using JobStateLibrary for JobState global;

/// @notice Packs and unpacks a `JobState`. Callers guarantee that values fit their fields.
library JobStateLibrary {
    uint256 private constant USED_AT = 56;
    uint256 private constant STARTED_AT = 24;
    uint256 private constant ATTESTOR_AT = 96;
    uint256 private constant DURATION = type(uint24).max;
    uint256 private constant USED = uint256(type(uint40).max) << USED_AT;

    /// @notice An order that was not started.
    function open(uint256 duration_) internal pure returns (JobState) {
        return JobState.wrap(duration_);
    }

    /// @notice Whose signature counts; zero before the start.
    function attestor(JobState state) internal pure returns (address) {
        return address(uint160(JobState.unwrap(state) >> ATTESTOR_AT));
    }

    /// @notice GPU-seconds claimed so far.
    function used(JobState state) internal pure returns (uint256) {
        return uint40(JobState.unwrap(state) >> USED_AT);
    }

    /// @notice Unix second of the start; 0 before it.
    function started(JobState state) internal pure returns (uint256) {
        return uint32(JobState.unwrap(state) >> STARTED_AT);
    }

    /// @notice Seconds paid for; 0 where there is no such job or it is closed.
    function duration(JobState state) internal pure returns (uint256) {
        return JobState.unwrap(state) & DURATION;
    }

    /// @notice Unix second at which a started job ends.
    function end(JobState state) internal pure returns (uint256) {
        unchecked {
            return started(state) + duration(state);
        }
    }

    /// @notice The job, started at a second and attested by somebody.
    function withStart(JobState state, address attestor_, uint256 started_) internal pure returns (JobState) {
        uint256 kept = JobState.unwrap(state) & (USED | DURATION);
        return JobState.wrap((uint256(uint160(attestor_)) << ATTESTOR_AT) | kept | (started_ << STARTED_AT));
    }

    /// @notice The job with so many GPU-seconds claimed.
    function withUsed(JobState state, uint256 used_) internal pure returns (JobState) {
        return JobState.wrap((JobState.unwrap(state) & ~USED) | (used_ << USED_AT));
    }

    /// @notice The job with so many seconds paid for.
    function withDuration(JobState state, uint256 duration_) internal pure returns (JobState) {
        return JobState.wrap((JobState.unwrap(state) & ~DURATION) | duration_);
    }
}
