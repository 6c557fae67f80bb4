// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {JobId} from "./JobId.sol";
import {OfferId} from "./OfferId.sol";

/// @notice So many GPU-seconds of a job of an offer that is known, in one word: the job's id with the count in the place of
/// the offer, `gpuSeconds 64 | price 80 | gpus 16 | order 96`, most significant bits first.
type Use is bytes32;

using UseLibrary for Use global;

/// @notice Packs and unpacks a `Use`.
library UseLibrary {
    uint256 private constant TAIL = type(uint192).max;

    /// @notice Use of a job.
    function pack(JobId id, uint256 gpuSeconds_) internal pure returns (Use) {
        return Use.wrap(bytes32((gpuSeconds_ << 192) | (uint256(JobId.unwrap(id)) & TAIL)));
    }

    /// @notice The job, of this offer.
    function job(Use use, OfferId offerId) internal pure returns (JobId) {
        return JobId.wrap(bytes32(OfferId.unwrap(offerId)) | (Use.unwrap(use) & bytes32(TAIL)));
    }

    /// @notice GPU-seconds since the start of the job.
    function gpuSeconds(Use use) internal pure returns (uint256) {
        return uint256(Use.unwrap(use)) >> 192;
    }
}
