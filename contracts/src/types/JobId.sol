// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {OfferId} from "./OfferId.sol";

/// @notice Name of a job, which carries what the order locked:
/// `offerId 96 | price 80 | gpus 16 | orderHash 64`, most significant bits first.
/// It names neither chain nor market: the same order on another market has the same id, though no voucher of one counts on
/// the other. Whoever follows several markets keeps them apart by chain and address.
/// @dev Claims read price and GPUs from the id, so they cost no storage.
type JobId is bytes32;

using JobIdLibrary for JobId global;
using {equals as ==, differs as !=} for JobId global;

function equals(JobId a, JobId b) pure returns (bool) {
    return JobId.unwrap(a) == JobId.unwrap(b);
}

function differs(JobId a, JobId b) pure returns (bool) {
    return JobId.unwrap(a) != JobId.unwrap(b);
}

/// @notice Packs and unpacks a `JobId`.
library JobIdLibrary {
    /// @notice Builds the id from its four parts.
    /// @param offerId_ Offer that was ordered.
    /// @param price_ Locked price, token units per GPU-hour.
    /// @param gpus_ Number of GPUs.
    /// @param orderHash_ First 64 bits of the order's hash.
    function pack(OfferId offerId_, uint80 price_, uint16 gpus_, bytes8 orderHash_) internal pure returns (JobId) {
        return JobId.wrap(
            bytes32(OfferId.unwrap(offerId_)) | bytes32(uint256(price_) << 80) | bytes32(uint256(gpus_) << 64)
                | bytes32(uint256(uint64(orderHash_)))
        );
    }

    /// @notice Offer that was ordered.
    function offerId(JobId id) internal pure returns (OfferId) {
        return OfferId.wrap(bytes12(JobId.unwrap(id)));
    }

    /// @notice Whether this offer was ordered: an `OfferId` as 32 bytes.
    function isOf(JobId id, bytes32 offerId_) internal pure returns (bool) {
        return uint256(JobId.unwrap(id) ^ offerId_) >> 160 == 0;
    }

    /// @notice Locked price, token units per GPU-hour.
    function price(JobId id) internal pure returns (uint256) {
        return uint80(uint256(JobId.unwrap(id)) >> 80);
    }

    /// @notice Number of GPUs.
    function gpus(JobId id) internal pure returns (uint256) {
        return uint16(uint256(JobId.unwrap(id)) >> 64);
    }

    /// @notice First 64 bits of the order's hash.
    function orderHash(JobId id) internal pure returns (bytes8) {
        return bytes8(uint64(uint256(JobId.unwrap(id))));
    }
}
