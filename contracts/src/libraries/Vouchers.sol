// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {LastVoucher, Voucher} from "../types/Voucher.sol";

/// @notice Reads a batch of vouchers where it lies in calldata. An index would be checked and multiplied for each of
/// them; the ABI decoder has checked already that the whole batch is there. Both kinds of vouchers begin with the same four words.
library Vouchers {
    /// @notice Bytes of a voucher.
    uint256 internal constant SIZE = 0x80;
    /// @notice Bytes of a last voucher.
    uint256 internal constant SIZE_OF_LAST = 0xc0;

    /// @notice Place of the first voucher, and the place at which the batch ends.
    function places(Voucher[] calldata vouchers) internal pure returns (uint256 first, uint256 end) {
        assembly ("memory-safe") {
            first := vouchers.offset
            end := add(first, mul(vouchers.length, SIZE))
        }
    }

    /// @notice Place of the first voucher, and the place at which the batch ends.
    function places(LastVoucher[] calldata vouchers) internal pure returns (uint256 first, uint256 end) {
        assembly ("memory-safe") {
            first := vouchers.offset
            end := add(first, mul(vouchers.length, SIZE_OF_LAST))
        }
    }

    /// @notice Place of the voucher after the one at a place.
    function next(uint256 place) internal pure returns (uint256) {
        unchecked {
            return place + SIZE;
        }
    }

    /// @notice Place of the last voucher after the one at a place.
    function nextLast(uint256 place) internal pure returns (uint256) {
        unchecked {
            return place + SIZE_OF_LAST;
        }
    }

    /// @notice The voucher that lies at a place.
    function read(uint256 place) internal pure returns (Voucher calldata voucher) {
        assembly ("memory-safe") {
            voucher := place
        }
    }

    /// @notice The last voucher that lies at a place.
    function readLast(uint256 place) internal pure returns (LastVoucher calldata voucher) {
        assembly ("memory-safe") {
            voucher := place
        }
    }
}
