// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarketErrors} from "../../src/interfaces/IComputeMarketErrors.sol";
import {IComputeMarketEvents} from "../../src/interfaces/IComputeMarketEvents.sol";
import {JobId} from "../../src/types/JobId.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {vm} from "../support/Vm.sol";

contract WithdrawForTest is MarketTest {
    /// @dev The provider earned 975,000, the customer has 3e6 of credit.
    function settled() private {
        JobId id = running();
        vm.warp(T0 + 1000);
        claim(id, 1800);
        end(id, 0, 1800);
    }

    function test_TheOperatorSendsEarningsToThePayoutAddress() public {
        settled();
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.Withdrawn(provider, address(token), payout, 975_000);
        vm.prank(operator);
        vm.assertEq(market.withdrawFor(provider, address(token)), 975_000);
        vm.assertEq(token.balanceOf(payout), 975_000);
        vm.assertEq(creditOf(provider), 0);
    }

    function test_SoDoesTheColdKey() public {
        settled();
        vm.prank(provider);
        vm.assertEq(market.withdrawFor(provider, address(token)), 975_000);
        vm.assertEq(token.balanceOf(payout), 975_000);
    }

    function test_AStrangerCantSendAProvidersEarnings() public {
        settled();
        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.NotOperator.selector, stranger, provider));
        vm.prank(stranger);
        market.withdrawFor(provider, address(token));
    }

    function test_NobodyCanSendACustomersCredit() public {
        settled();
        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.UnknownProvider.selector, customer));
        vm.prank(operator);
        market.withdrawFor(customer, address(token));
    }

    function test_WithoutCreditNothingIsSent() public {
        vm.expectRevert(
            abi.encodeWithSelector(IComputeMarketErrors.NothingToWithdraw.selector, provider, address(token))
        );
        vm.prank(operator);
        market.withdrawFor(provider, address(token));
    }
}
