// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {JobId} from "../../src/types/JobId.sol";
import {Voucher} from "../../src/types/Voucher.sol";

/// @notice Lists of one, for calls that take many.
abstract contract Lists {
    function one(JobId id) internal pure returns (JobId[] memory ids) {
        ids = new JobId[](1);
        ids[0] = id;
    }

    function one(Voucher memory voucher) internal pure returns (Voucher[] memory vouchers) {
        vouchers = new Voucher[](1);
        vouchers[0] = voucher;
    }
}
