// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @dev All that is stored of a job, in one slot:
/// `attestor 96 | tag 64 | ending 1 | used 39 | second 32 | duration 24`, most significant bits first.
/// Of the attestor's address the last 96 bits are kept: to find another key for them takes 2^96 work, and it could sign only
/// for what the provider, who names attestors, could have signed itself. `tag` is the order's (see `JobId`), from the order on.
/// `second` is the start deadline before the start, while there is no attestor, and the start after it; it lasts until 2106.
/// `used` (GPU-seconds) fits because it never exceeds 2^15 GPUs times 2^24 seconds. `duration` is never 0 for a live job, so a
/// word of which only that is 0 is a closed job's, and 0 means that there is none.
type JobState is uint256;

using JobStateLibrary for JobState global;

/// @notice Packs and unpacks a `JobState`. Callers guarantee that values fit their fields.
library JobStateLibrary {
    uint256 private constant SECOND_AT = 24;
    uint256 private constant USED_AT = 56;
    uint256 private constant ENDING = 1 << 95;
    uint256 private constant TAG_AT = 96;
    uint256 private constant ATTESTOR_AT = 160;
    uint256 private constant TAG = uint256(type(uint64).max) << TAG_AT;
    uint256 private constant DURATION = type(uint24).max;
    uint256 private constant USED = ((1 << 39) - 1) << USED_AT;

    /// @notice An order that was not started.
    function open(uint64 tag_, uint256 duration_, uint256 startDeadline) internal pure returns (JobState) {
        return JobState.wrap((uint256(tag_) << TAG_AT) | (startDeadline << SECOND_AT) | duration_);
    }

    /// @notice Whether there is or was such a job.
    function exists(JobState state) internal pure returns (bool) {
        return JobState.unwrap(state) != 0;
    }

    /// @notice Last 96 bits of the address whose signature counts; zero before the start.
    function attestor(JobState state) internal pure returns (uint96) {
        return uint96(JobState.unwrap(state) >> ATTESTOR_AT);
    }

    /// @notice Bits of the hash of the order that are not in the job's id.
    function tag(JobState state) internal pure returns (uint64) {
        return uint64(JobState.unwrap(state) >> TAG_AT);
    }

    /// @notice Whether the job was started.
    function isStarted(JobState state) internal pure returns (bool) {
        return JobState.unwrap(state) >> ATTESTOR_AT != 0;
    }

    /// @notice Whether an end earlier than the paid one was announced.
    function ending(JobState state) internal pure returns (bool) {
        return JobState.unwrap(state) & ENDING != 0;
    }

    /// @notice GPU-seconds claimed so far.
    function used(JobState state) internal pure returns (uint256) {
        return (JobState.unwrap(state) & USED) >> USED_AT;
    }

    /// @notice Unix second of the start, or the last one at which the job can be started.
    function second(JobState state) internal pure returns (uint256) {
        return uint32(JobState.unwrap(state) >> SECOND_AT);
    }

    /// @notice Seconds paid for; 0 where there is no such job or it is closed.
    function duration(JobState state) internal pure returns (uint256) {
        return JobState.unwrap(state) & DURATION;
    }

    /// @notice Unix second at which a started job ends.
    function end(JobState state) internal pure returns (uint256) {
        unchecked {
            return second(state) + duration(state);
        }
    }

    /// @notice The job, started at a second and attested by somebody, of whose address the last 96 bits are told.
    function withStart(JobState state, uint96 attestor_, uint256 started) internal pure returns (JobState) {
        uint256 kept = JobState.unwrap(state) & (TAG | ENDING | USED | DURATION);
        return JobState.wrap((uint256(attestor_) << ATTESTOR_AT) | kept | (started << SECOND_AT));
    }

    /// @notice The job with so many GPU-seconds claimed.
    function withUsed(JobState state, uint256 used_) internal pure returns (JobState) {
        return JobState.wrap((JobState.unwrap(state) & ~USED) | (used_ << USED_AT));
    }

    /// @notice The job with so many seconds paid for.
    function withDuration(JobState state, uint256 duration_) internal pure returns (JobState) {
        return JobState.wrap((JobState.unwrap(state) & ~DURATION) | duration_);
    }

    /// @notice The job with an earlier end announced.
    function withEnding(JobState state, uint256 duration_) internal pure returns (JobState) {
        return JobState.wrap(JobState.unwrap(withDuration(state, duration_)) | ENDING);
    }
}
