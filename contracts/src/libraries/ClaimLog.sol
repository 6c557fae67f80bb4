// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarketEvents} from "../interfaces/IComputeMarketEvents.sol";
import {JobId} from "../types/JobId.sol";
import {OfferId} from "../types/OfferId.sol";
import {Use, UseLibrary} from "../types/Use.sol";

/// @dev Memory position at which the next line of the log is written.
type ClaimLog is uint256;

using ClaimLogLibrary for ClaimLog global;

/// @notice Writes the data of `UsageClaimed` where it is emitted from, one line per job, without knowing beforehand
/// how many of the vouchers count. An array of structs would be built first and encoded after.
/// @dev Data: offset of the array (0x80), gpuSeconds, paid, fee, length, then 2 words per line.
library ClaimLogLibrary {
    uint256 private constant HEAD = 0xa0;
    uint256 private constant LINE = 0x40;

    /// @notice Reserves memory for at most so many lines, and returns where the first one goes.
    function reserve(uint256 most) internal pure returns (ClaimLog first) {
        assembly ("memory-safe") {
            first := add(mload(0x40), HEAD)
            mstore(0x40, add(first, mul(most, LINE)))
        }
    }

    /// @notice Writes a line, and returns where the next one goes.
    function write(ClaimLog log, JobId id, uint256 used, bytes32 evidenceRoot) internal pure returns (ClaimLog next) {
        Use use = UseLibrary.pack(id, used);
        assembly ("memory-safe") {
            mstore(log, use)
            mstore(add(log, 0x20), evidenceRoot)
            next := add(log, LINE)
        }
    }

    /// @notice Number of lines from `first` to this one.
    function lines(ClaimLog log, ClaimLog first) internal pure returns (uint256 count) {
        assembly ("memory-safe") {
            count := div(sub(log, first), LINE)
        }
    }

    /// @notice Emits `UsageClaimed` with the first so many lines.
    function finish(
        ClaimLog first,
        uint256 count,
        OfferId offerId,
        address provider,
        uint256 gpuSeconds,
        uint256 paid,
        uint256 fee
    ) internal {
        bytes32 topic = IComputeMarketEvents.UsageClaimed.selector;
        bytes32 offerTopic = OfferId.unwrap(offerId);
        assembly ("memory-safe") {
            let log := sub(first, HEAD)
            mstore(log, 0x80)
            mstore(add(log, 0x20), gpuSeconds)
            mstore(add(log, 0x40), paid)
            mstore(add(log, 0x60), fee)
            mstore(add(log, 0x80), count)
            log3(log, add(HEAD, mul(count, LINE)), topic, offerTopic, provider)
        }
    }
}
