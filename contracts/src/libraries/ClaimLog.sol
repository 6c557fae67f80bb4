// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarket} from "../interfaces/IComputeMarket.sol";
import {JobId} from "../types/JobId.sol";
import {OfferId} from "../types/OfferId.sol";

/// @dev Memory position of the log's data.
type ClaimLog is uint256;

using ClaimLogLibrary for ClaimLog global;

/// @notice Writes the data of `UsageClaimed` where it is emitted from, one line per job, without knowing beforehand
/// how many of the vouchers count. An array of structs would be built first and encoded after.
/// @dev Data: offset of the array (0x80), gpuSeconds, paid, fee, length, then 3 words per line.
library ClaimLogLibrary {
    uint256 private constant HEAD = 0xa0;
    uint256 private constant LINE = 0x60;

    /// @notice Reserves memory for at most so many lines.
    function reserve(uint256 lines) internal pure returns (ClaimLog log) {
        assembly ("memory-safe") {
            log := mload(0x40)
            mstore(0x40, add(log, add(HEAD, mul(lines, LINE))))
        }
    }

    /// @notice Writes line number `index`.
    function write(ClaimLog log, uint256 index, JobId id, uint256 used, bytes32 evidenceRoot) internal pure {
        assembly ("memory-safe") {
            let line := add(log, add(HEAD, mul(index, LINE)))
            mstore(line, id)
            mstore(add(line, 0x20), used)
            mstore(add(line, 0x40), evidenceRoot)
        }
    }

    /// @notice Emits `UsageClaimed` with the first `lines` lines.
    function finish(
        ClaimLog log,
        uint256 lines,
        OfferId offerId,
        address provider,
        uint256 gpuSeconds,
        uint256 paid,
        uint256 fee
    ) internal {
        bytes32 topic = IComputeMarket.UsageClaimed.selector;
        bytes32 offerTopic = OfferId.unwrap(offerId);
        assembly ("memory-safe") {
            mstore(log, 0x80)
            mstore(add(log, 0x20), gpuSeconds)
            mstore(add(log, 0x40), paid)
            mstore(add(log, 0x60), fee)
            mstore(add(log, 0x80), lines)
            log3(log, add(HEAD, mul(lines, LINE)), topic, offerTopic, provider)
        }
    }
}
