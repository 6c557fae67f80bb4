// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarketErrors} from "../../src/interfaces/IComputeMarketErrors.sol";
import {IComputeMarketEvents} from "../../src/interfaces/IComputeMarketEvents.sol";
import {JobStatus, SkipReason} from "../../src/types/Job.sol";
import {JobId} from "../../src/types/JobId.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {vm} from "../support/Vm.sol";

contract DeclineJobsTest is MarketTest {
    function decline(address by, JobId id) private returns (uint256) {
        vm.prank(by);
        return market.declineJobs(refs(one(id)), "spec is not JSON");
    }

    function test_TheWholeDepositGoesBackWithTheReason() public {
        JobId id = open(2, 3600, 0);
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.JobDeclined(id, customer, 4e6, "spec is not JSON");
        vm.assertEq(decline(operator, id), 1);
        vm.assertEq(creditOf(customer), 4e6);
        assertStatus(id, JobStatus.Closed);
        assertBooks(id);
    }

    function test_ItCanBeDeclinedAfterTheDeadlineToo() public {
        JobId id = open(2, 3600, 0);
        vm.warp(T0 + START_WINDOW + 1);
        vm.assertEq(decline(operator, id), 1);
    }

    function test_AStartedJobCantBeDeclined() public {
        JobId id = running();
        expectSkip(id, SkipReason.AlreadyStarted);
        vm.assertEq(decline(operator, id), 0);
    }

    function test_DeclinedTwiceItIsPaidBackOnce() public {
        JobId id = open(2, 3600, 0);
        decline(operator, id);
        expectSkip(id, SkipReason.NotLive);
        vm.assertEq(decline(operator, id), 0);
        vm.assertEq(creditOf(customer), 4e6);
    }

    function test_AStrangerDeclinesNothing() public {
        JobId id = open(2, 3600, 0);
        expectSkip(id, SkipReason.NotOperator);
        vm.assertEq(decline(stranger, id), 0);
        assertStatus(id, JobStatus.Open);
    }

    function test_AReasonHasALimit() public {
        JobId id = open(2, 3600, 0);
        string memory most = string(new bytes(256));
        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.TextTooLong.selector, 257, 256));
        vm.prank(operator);
        market.declineJobs(refs(one(id)), string(new bytes(257)));
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.JobDeclined(id, customer, 4e6, most);
        vm.prank(operator);
        vm.assertEq(market.declineJobs(refs(one(id)), most), 1);
    }
}
