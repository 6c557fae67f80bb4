// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {JobId} from "../../src/types/JobId.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {vm} from "../support/Vm.sol";

/// @notice The provider holds an order until the last moment, or the customer takes it back in the same second.
contract StartAtTheDeadlineTest is MarketTest {
    function starts(JobId id) private returns (uint256) {
        address[] memory signers = new address[](1);
        signers[0] = attestor;
        vm.prank(operator);
        return market.startJobs(one(id), signers);
    }

    /// @dev Each second belongs to one of them, whoever comes first in its block.
    function test_EachSecondBelongsToOneSide() public {
        JobId id = open(2, 3600, 0);
        uint256 fork = vm.snapshotState();
        for (uint256 second = T0 + START_WINDOW - 1; second <= T0 + START_WINDOW + 1; ++second) {
            bool providers = second <= T0 + START_WINDOW;
            vm.revertToState(fork);
            fork = vm.snapshotState();
            vm.warp(second);
            vm.assertEq(market.refund(refs(one(id))), providers ? 0 : 1);
            vm.assertEq(starts(id), providers ? 1 : 0);
            vm.revertToState(fork);
            fork = vm.snapshotState();
            vm.warp(second);
            vm.assertEq(starts(id), providers ? 1 : 0);
            vm.assertEq(market.refund(refs(one(id))), providers ? 0 : 1);
        }
    }

    /// @dev The paid time begins with the start: a late start takes nothing of it.
    function test_AStartInTheLastSecondGivesTheWholeTime() public {
        JobId id = open(2, 3600, 0);
        vm.warp(T0 + START_WINDOW);
        start(id);
        vm.assertEq(market.job(id).end, T0 + START_WINDOW + 3600);
        vm.assertEq(claim(id, 7200), 0);
    }

    function test_ATopUpDoesntMoveTheDeadline() public {
        JobId id = open(2, 3600, 0);
        vm.prank(customer);
        market.topUp(id, 3600);
        vm.warp(T0 + START_WINDOW + 1);
        vm.assertEq(starts(id), 0);
        vm.assertEq(market.refund(refs(one(id))), 1);
        vm.assertEq(creditOf(customer), 8e6);
    }
}
