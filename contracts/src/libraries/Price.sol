// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {JobId} from "../types/JobId.sol";

/// @notice What time costs. Deposits round up and payments round down, both on the cumulative count: nothing is lost
/// or gained by claiming in more or fewer steps, and a deposit always covers its payment.
/// @dev Nothing here overflows: a price has 128 bits at most, GPUs 16, seconds 32, used 39.
library Price {
    uint256 private constant SECONDS_PER_HOUR = 3600;
    uint256 private constant BPS = 10_000;

    /// @notice Token units that a job of so many seconds deposits.
    function deposit(JobId id, uint256 duration) internal pure returns (uint256) {
        return deposit(id.price(), id.gpus(), duration);
    }

    /// @notice Token units that such an order deposits.
    function deposit(uint256 price, uint256 gpus, uint256 duration) internal pure returns (uint256) {
        unchecked {
            return Math.ceilDiv(price * gpus * duration, SECONDS_PER_HOUR);
        }
    }

    /// @notice Token units paid, fee included, once so many GPU-seconds were claimed.
    function paid(JobId id, uint256 used) internal pure returns (uint256) {
        unchecked {
            return id.price() * used / SECONDS_PER_HOUR;
        }
    }

    /// @notice The fee sink's part of a payment.
    function fee(uint256 amount, uint256 bps) internal pure returns (uint256) {
        unchecked {
            return amount * bps / BPS;
        }
    }
}
