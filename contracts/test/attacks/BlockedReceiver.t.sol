// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {JobId} from "../../src/types/JobId.sol";
import {HostileToken} from "../tokens/HostileToken.sol";
import {HostileTokenTest} from "../support/HostileTokenTest.sol";
import {vm} from "../support/Vm.sol";

/// @notice A token that refuses a receiver blocks that receiver and nobody else, because nobody is sent tokens by what
/// another does.
contract BlockedReceiverTest is HostileTokenTest {
    function settle() private {
        JobId id = running();
        vm.warp(T0 + 1000);
        claim(id, 1800);
        vm.assertEq(end(id, 0, 1800), 1);
    }

    function test_ABlockedPayoutAddressIsReplacedByTheColdKey() public {
        hostile.setBlocked(payout);
        settle();
        vm.prank(customer);
        vm.assertEq(market.withdraw(address(hostile), customer, type(uint256).max), 3e6);

        vm.expectRevert(abi.encodeWithSelector(HostileToken.Blocked.selector, payout));
        vm.prank(operator);
        market.withdrawFor(provider, address(hostile));
        vm.prank(provider);
        market.setProvider(operator, stranger);
        vm.prank(operator);
        vm.assertEq(market.withdrawFor(provider, address(hostile)), 975_000);
    }

    function test_ABlockedCustomerStopsNoClaimAndWithdrawsElsewhere() public {
        JobId id = open(2, 3600, 0);
        hostile.setBlocked(customer);
        start(id);
        vm.warp(T0 + 1000);
        vm.assertEq(claim(id, 1800), 1);
        vm.assertEq(end(id, 0, 1800), 1);
        vm.prank(operator);
        market.withdrawFor(provider, address(hostile));
        vm.prank(customer);
        vm.assertEq(market.withdraw(address(hostile), stranger, type(uint256).max), 3e6);
    }

    function test_ABlockedFeeSinkStopsNoClaim() public {
        hostile.setBlocked(sink);
        settle();
        vm.assertEq(feesOf(sink), 25_000);
        vm.prank(operator);
        vm.assertEq(market.withdrawFor(provider, address(hostile)), 975_000);
    }

    /// @dev A token that blocks the market itself stops what moves tokens, and nothing else: orders that credit covers and
    /// claims go on, and wait to be paid out.
    function test_WhereTheMarketItselfIsBlockedCreditStillOrders() public {
        JobId first = open(2, 3600, 0);
        vm.prank(operator);
        market.declineJobs(refs(one(first)), "");
        hostile.setBlocked(address(market));
        JobId id = open(2, 3600, "from credit");
        start(id);
        vm.warp(T0 + 1000);
        vm.assertEq(claim(id, 1800), 1);
        vm.assertEq(creditOf(customer), 0);
        vm.expectRevert(abi.encodeWithSelector(HostileToken.Blocked.selector, address(market)));
        open(1, 3600, "needs the token");
    }
}
