// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarketErrors} from "../../src/interfaces/IComputeMarketErrors.sol";
import {IComputeMarketEvents} from "../../src/interfaces/IComputeMarketEvents.sol";
import {JobId} from "../../src/types/JobId.sol";
import {HostileToken} from "../tokens/HostileToken.sol";
import {HostileTokenTest} from "../support/HostileTokenTest.sol";
import {vm} from "../support/Vm.sol";

/// @notice A token whose balances change by themselves can't be told from an honest one when it is deposited.
contract RebasingTokenTest is HostileTokenTest {
    function test_AShrunkBalanceTakesNothingFromAnotherToken() public {
        JobId shrunk = open(2, 3600, 0);
        hostile.shrink(address(market), 4e6);
        vm.prank(operator);
        market.declineJobs(refs(one(shrunk)), "");

        token = honest;
        offerId = market.offerIdOf(terms());
        JobId id = running();
        end(id, 0, 0);
        vm.prank(customer);
        vm.assertEq(market.withdraw(address(honest), customer, type(uint256).max), 4e6);
        vm.expectRevert(
            abi.encodeWithSelector(IComputeMarketErrors.NothingToWithdraw.selector, customer, address(hostile))
        );
        vm.prank(customer);
        market.withdraw(address(hostile), customer, type(uint256).max);
        vm.assertEq(market.credit(customer, address(hostile)), 4e6);
    }

    /// @dev Who comes last gets what is there, and keeps the rest as credit, to be paid when there is something again.
    function test_AShrunkBalanceIsPaidOutAsFarAsItGoes() public {
        JobId id = running();
        vm.warp(T0 + 1800);
        claim(id, 3600);
        end(id, 0, 3600);
        hostile.shrink(address(market), 1e6);
        vm.prank(operator);
        vm.assertEq(market.withdrawFor(provider, address(hostile)), 1.95e6);
        uint256 before = hostile.balanceOf(customer);
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.Withdrawn(customer, address(hostile), customer, 1.05e6);
        vm.prank(customer);
        vm.assertEq(market.withdraw(address(hostile), customer, type(uint256).max), 1.05e6);
        vm.assertEq(hostile.balanceOf(customer), before + 1.05e6);
        vm.assertEq(creditOf(customer), 0.95e6);
        vm.assertEq(feesOf(sink), 0.05e6);
        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.NothingToWithdraw.selector, sink, address(hostile)));
        market.sweepFees(sink, address(hostile));

        hostile.mint(address(market), 1e6 - 1);
        vm.prank(customer);
        vm.assertEq(market.withdraw(address(hostile), customer, type(uint256).max), 0.95e6);
        vm.assertEq(market.sweepFees(sink, address(hostile)), 0.05e6 - 1);
        vm.assertEq(feesOf(sink), 1);
    }

    function test_AProvidersCreditIsPaidOutAsFarAsItGoesToo() public {
        JobId id = running();
        vm.warp(T0 + 3600);
        claim(id, 7200);
        hostile.shrink(address(market), 4e6 - 10);
        vm.prank(operator);
        vm.assertEq(market.withdrawFor(provider, address(hostile)), 10);
        vm.assertEq(creditOf(provider), 3.9e6 - 10);
        vm.assertEq(hostile.balanceOf(payout), 10);
    }

    function test_AGrownBalanceIsNobodysCredit() public {
        JobId id = running();
        hostile.mint(address(market), 1e12);
        vm.warp(T0 + 3600);
        claim(id, 7200);
        end(id, 0, 7200);
        vm.assertEq(creditOf(provider) + feesOf(sink), 4e6);
        vm.assertEq(creditOf(customer), 0);
        vm.prank(operator);
        vm.assertEq(market.withdrawFor(provider, address(hostile)), 3.9e6);
    }

    /// @dev What shrinks while it is sent is not what was owed: nothing is sent, the credit stays.
    function test_ATokenThatTakesMoreThanItSendsCantPayOut() public {
        JobId id = open(2, 3600, 0);
        vm.prank(operator);
        market.declineJobs(refs(one(id)), "");
        hostile.setCall(address(hostile), abi.encodeCall(HostileToken.shrink, (address(market), 1)));
        open(1, 3600, "from credit, nothing moves");
        hostile.mint(address(market), 10);
        vm.expectRevert(
            abi.encodeWithSelector(IComputeMarketErrors.TransferMismatch.selector, address(hostile), 2e6, 2e6 + 1)
        );
        vm.prank(customer);
        market.withdraw(address(hostile), customer, type(uint256).max);
        vm.assertEq(creditOf(customer), 2e6);
    }
}
