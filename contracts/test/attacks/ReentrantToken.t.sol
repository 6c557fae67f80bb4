// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarket} from "../../src/interfaces/IComputeMarket.sol";
import {JobStatus} from "../../src/types/Job.sol";
import {JobId} from "../../src/types/JobId.sol";
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
        earned();
        bytes[4] memory calls = [
            abi.encodeCall(IComputeMarket.openJob, (offerId, 1, 3600, PRICE, "again", "{}")),
            abi.encodeCall(IComputeMarket.topUp, (JobId.wrap(0), 1)),
            abi.encodeCall(IComputeMarket.withdraw, (address(hostile), address(hostile))),
            abi.encodeCall(IComputeMarket.withdrawFor, (provider, address(hostile)))
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            hostile.setCall(address(market), calls[i]);
            vm.expectRevert(abi.encodeWithSignature("ReentrancyGuardReentrantCall()"));
            open(1, 3600, 0);
            vm.expectRevert(abi.encodeWithSignature("ReentrancyGuardReentrantCall()"));
            vm.prank(provider);
            market.withdraw(address(hostile), payout);
        }
    }

    /// @dev The order is there before its tokens are. Turned down in between, it is credited once, and paid for.
    function test_AnOrderTurnedDownWhileItIsPaidIsPaidBackOnce() public {
        JobId id = market.jobIdOf(offerId, PRICE, 2, customer, 3600, 0, keccak256("{}"));
        hostile.setCall(address(market), abi.encodeCall(IComputeMarket.declineJobs, (one(id), "")));
        uint256 before = hostile.balanceOf(customer);
        open(2, 3600, 0);
        assertStatus(id, JobStatus.Closed);
        vm.assertEq(creditOf(customer), 4e6);
        assertBooks(id);
        hostile.setCall(address(0), "");
        vm.prank(customer);
        market.withdraw(address(hostile), customer);
        vm.assertEq(hostile.balanceOf(customer), before);
    }

    /// @dev A claim during a withdrawal earns what it would earn after it.
    function test_AClaimDuringAWithdrawalIsCreditedAfterIt() public {
        JobId id = earned();
        hostile.setCall(address(market), abi.encodeCall(IComputeMarket.claim, (offerId, one(sign(id, 2000)))));
        vm.prank(provider);
        vm.assertEq(market.withdraw(address(hostile), payout), 975_000);
        vm.assertEq(hostile.balanceOf(payout), 975_000);
        assertBooks(id);
        vm.assertEq(market.job(id).used, 2000);
    }
}
