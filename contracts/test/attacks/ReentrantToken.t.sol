// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarket} from "../../src/interfaces/IComputeMarket.sol";
import {JobStatus} from "../../src/types/Job.sol";
import {JobId} from "../../src/types/JobId.sol";
import {JobRef, Order} from "../../src/types/Order.sol";
import {HostileTokenTest} from "../support/HostileTokenTest.sol";
import {vm} from "../support/Vm.sol";

/// @notice A token that calls the market while it moves; here it also is the operator of the provider that takes it.
contract ReentrantTokenTest is HostileTokenTest {
    function setUp() public override {
        super.setUp();
        vm.prank(provider);
        market.setProvider(address(hostile), payout);
    }

    function earned() private returns (JobId id) {
        id = open(2, 3600, "earned");
        address[] memory signers = new address[](1);
        signers[0] = attestor;
        vm.prank(address(hostile));
        market.startJobs(one(id), signers);
        vm.warp(block.timestamp + 1000);
        claim(id, 1800);
    }

    function test_NothingThatMovesTokensCanBeEnteredAgain() public {
        JobId running_ = earned();
        bytes[4] memory calls = [
            abi.encodeCall(market.openJob, (orderOf(offerId, address(hostile), 1, 3600, PRICE, "again", "{}"), "{}")),
            abi.encodeCall(market.topUp, (running_, 1)),
            abi.encodeCall(market.withdraw, (address(hostile), address(hostile), type(uint256).max)),
            abi.encodeCall(market.withdrawFor, (provider, address(hostile)))
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            hostile.setCall(address(market), calls[i]);
            vm.expectRevert(abi.encodeWithSignature("ReentrancyGuardReentrantCall()"));
            open(1, 3600, 0);
            vm.expectRevert(abi.encodeWithSignature("ReentrancyGuardReentrantCall()"));
            vm.prank(provider);
            market.withdraw(address(hostile), payout, type(uint256).max);
        }
    }

    /// @dev The order is there before its tokens are. Turned down in between, it is credited once, and paid for.
    function test_AnOrderTurnedDownWhileItIsPaidIsPaidBackOnce() public {
        Order memory order = orderOf(offerId, customer, 2, 3600, PRICE, 0, "{}");
        JobId id = market.jobIdOf(order, PRICE, 0);
        hostile.setCall(
            address(market), abi.encodeCall(market.declineJobs, (one(JobRef(id, customer, orderHash(order))), ""))
        );
        uint256 before = hostile.balanceOf(customer);
        open(2, 3600, 0);
        assertStatus(id, JobStatus.Closed);
        vm.assertEq(creditOf(customer), 4e6);
        assertBooks(id);
        hostile.setCall(address(0), "");
        vm.prank(customer);
        market.withdraw(address(hostile), customer, type(uint256).max);
        vm.assertEq(hostile.balanceOf(customer), before);
    }

    /// @dev A claim during a withdrawal earns what it would earn after it.
    function test_AClaimDuringAWithdrawalIsCreditedAfterIt() public {
        JobId id = earned();
        hostile.setCall(address(market), abi.encodeCall(market.claim, (offerId, one(sign(id, 2000)), noProofs())));
        vm.prank(provider);
        vm.assertEq(market.withdraw(address(hostile), payout, type(uint256).max), 975_000);
        vm.assertEq(hostile.balanceOf(payout), 975_000);
        assertBooks(id);
        vm.assertEq(market.job(id).used, 2000);
    }
}
