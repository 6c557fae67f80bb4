// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarketEvents} from "../../src/interfaces/IComputeMarketEvents.sol";
import {JobStatus, SkipReason} from "../../src/types/Job.sol";
import {JobId} from "../../src/types/JobId.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {vm} from "../support/Vm.sol";

contract RefundTest is MarketTest {
    function test_AnOrderNobodyStartedGoesBackAfterTheDeadline() public {
        JobId id = open(2, 3600, 0);
        vm.warp(T0 + START_WINDOW);
        expectSkip(id, SkipReason.TooEarly);
        vm.assertEq(market.refund(refs(one(id))), 0);
        vm.warp(T0 + START_WINDOW + 1);
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.JobRefunded(id, customer, 4e6);
        vm.prank(stranger);
        vm.assertEq(market.refund(refs(one(id))), 1);
        vm.assertEq(creditOf(customer), 4e6);
        assertStatus(id, JobStatus.Closed);
    }

    function test_WhatWasNotClaimedGoesBackAfterTheClaimWindow() public {
        JobId id = running();
        vm.warp(T0 + 3600 + CLAIM_WINDOW);
        claim(id, 3600);
        vm.assertEq(market.refund(refs(one(id))), 0);
        vm.warp(market.job(id).refundableFrom);
        vm.assertEq(market.refund(refs(one(id))), 1);
        vm.assertEq(creditOf(customer), 2e6);
        assertBooks(id);
    }

    function test_ARunningJobCantBeRefunded() public {
        JobId id = running();
        expectSkip(id, SkipReason.TooEarly);
        vm.assertEq(market.refund(refs(one(id))), 0);
    }

    function test_RefundedTwiceItIsPaidBackOnce() public {
        JobId id = open(2, 3600, 0);
        vm.warp(T0 + START_WINDOW + 1);
        JobId[] memory twice = new JobId[](2);
        (twice[0], twice[1]) = (id, id);
        expectSkip(id, SkipReason.NotLive);
        vm.assertEq(market.refund(refs(twice)), 1);
        vm.assertEq(creditOf(customer), 4e6);
    }
}
