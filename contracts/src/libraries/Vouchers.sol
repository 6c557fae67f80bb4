// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Voucher} from "../types/Voucher.sol";

/// @notice Reads a batch of vouchers where it lies in calldata. An index would be checked and multiplied for each of
/// them; the ABI decoder has checked already that the whole batch is there.
library Vouchers {
    uint256 private constant SIZE = 0xa0;

    /// @notice Place of the first voucher, and the place at which the batch ends.
    function places(Voucher[] calldata vouchers) internal pure returns (uint256 first, uint256 end) {
        assembly ("memory-safe") {
            first := vouchers.offset
            end := add(first, mul(vouchers.length, SIZE))
        }
    }

    /// @notice Place of the voucher after the one at a place.
    function next(uint256 place) internal pure returns (uint256) {
        unchecked {
            return place + SIZE;
        }
    }

    /// @notice The voucher that lies at a place.
    function read(uint256 place) internal pure returns (Voucher calldata voucher) {
        assembly ("memory-safe") {
            voucher := place
        }
    }

    /// @notice The count of a voucher, as it was signed: all 256 bits. A count is cut to the job's bound anyway, and one
    /// that is too wide must not stop a batch.
    function count(Voucher calldata voucher) internal pure returns (uint256 gpuSeconds) {
        assembly ("memory-safe") {
            gpuSeconds := calldataload(add(voucher, 0x20))
        }
    }
}
