// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarketErrors} from "../../src/interfaces/IComputeMarketErrors.sol";
import {IComputeMarketEvents} from "../../src/interfaces/IComputeMarketEvents.sol";
import {JobId} from "../../src/types/JobId.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {vm} from "../support/Vm.sol";

contract WithdrawTest is MarketTest {
    /// @dev Everybody earned: customer 3e6, provider 975,000, sink 25,000.
    function settled() private {
        JobId id = running();
        vm.warp(T0 + 1000);
        claim(id, 1800);
        end(id, 0, 1800);
    }

    function test_ACustomersCreditGoesWhereItSays() public {
        settled();
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.Withdrawn(customer, address(token), stranger, 3e6);
        vm.prank(customer);
        vm.assertEq(market.withdraw(address(token), stranger, type(uint256).max), 3e6);
        vm.assertEq(token.balanceOf(stranger), 3e6);
        vm.assertEq(creditOf(customer), 0);
    }

    function test_FeesAreNoCredit() public {
        settled();
        vm.assertEq(creditOf(sink), 0);
        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.NothingToWithdraw.selector, sink, address(token)));
        vm.prank(sink);
        market.withdraw(address(token), stranger, type(uint256).max);
    }

    function test_EarningsGoToThePayoutAddressOnly() public {
        settled();
        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.PayoutOnly.selector, provider, payout, provider));
        vm.prank(provider);
        market.withdraw(address(token), provider, type(uint256).max);
        vm.prank(provider);
        vm.assertEq(market.withdraw(address(token), payout, type(uint256).max), 975_000);
        vm.assertEq(token.balanceOf(payout), 975_000);
    }

    function test_WithdrawnTwiceItIsPaidOnce() public {
        settled();
        vm.prank(customer);
        market.withdraw(address(token), customer, type(uint256).max);
        vm.expectRevert(
            abi.encodeWithSelector(IComputeMarketErrors.NothingToWithdraw.selector, customer, address(token))
        );
        vm.prank(customer);
        market.withdraw(address(token), customer, type(uint256).max);
    }

    function test_CreditCantBeSentToTheMarketItself() public {
        settled();
        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.TransferMismatch.selector, address(token), 3e6, 0));
        vm.prank(customer);
        market.withdraw(address(token), address(market), type(uint256).max);
    }
}
