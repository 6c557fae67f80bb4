// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {SkipReason} from "../../src/types/Job.sol";
import {JobId} from "../../src/types/JobId.sol";
import {Voucher} from "../../src/types/Voucher.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {vm} from "../support/Vm.sol";

/// @notice A claim and a refund that race at the end of the claim window.
contract ClaimAfterTheWindowTest is MarketTest {
    function test_EachSecondBelongsToOneSide() public {
        JobId id = running();
        Voucher memory voucher = sign(id, 7200);
        uint256 last = T0 + 3600 + CLAIM_WINDOW;
        uint256 fork = vm.snapshotState();
        for (uint256 second = last - 1; second <= last + 1; ++second) {
            bool providers = second <= last;
            vm.revertToState(fork);
            fork = vm.snapshotState();
            vm.warp(second);
            vm.assertEq(market.refund(refs(one(id))), providers ? 0 : 1);
            vm.assertEq(market.claim(offerId, one(voucher), noProofs()), providers ? 1 : 0);
            vm.revertToState(fork);
            fork = vm.snapshotState();
            vm.warp(second);
            vm.assertEq(market.claim(offerId, one(voucher), noProofs()), providers ? 1 : 0);
            vm.assertEq(market.refund(refs(one(id))), providers ? 0 : 1);
        }
    }

    /// @dev Late by years, and nobody refunded it: the window stays shut.
    function test_TheWindowStaysShut() public {
        JobId id = running();
        vm.warp(T0 + 1000 days);
        expectSkip(id, SkipReason.ClaimWindowPassed);
        vm.assertEq(claim(id, 7200), 0);
        vm.assertEq(market.refund(refs(one(id))), 1);
        vm.assertEq(creditOf(customer), 4e6);
    }

    /// @dev An end that was announced moves the window with it.
    function test_AnAnnouncedEndMovesTheWindow() public {
        JobId id = running();
        vm.assertEq(end(id, uint64(T0 + 600), 0), 1);
        vm.warp(T0 + 600 + CLAIM_WINDOW + 1);
        vm.assertEq(claim(id, 1200), 0);
        vm.assertEq(market.refund(refs(one(id))), 1);
    }
}
