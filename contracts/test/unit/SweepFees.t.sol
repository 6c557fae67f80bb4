// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarketErrors as Errors} from "../../src/interfaces/IComputeMarketErrors.sol";
import {IComputeMarketEvents} from "../../src/interfaces/IComputeMarketEvents.sol";
import {JobId} from "../../src/types/JobId.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {vm} from "../support/Vm.sol";

contract SweepFeesTest is MarketTest {
    address private immutable burn = address(0xdead);

    function earn(bytes32 salt) private {
        JobId id = open(2, 3600, salt);
        start(id);
        vm.warp(block.timestamp + 3600);
        claim(id, 7200);
    }

    function setSink(address to) private {
        vm.prank(owner);
        market.setFee(FEE_BPS, to);
    }

    function test_AnybodyHasABurnAddressSentWhatItIsOwed() public {
        setSink(burn);
        earn(0);
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.FeesSwept(burn, address(token), burn, 100_000);
        vm.prank(stranger);
        vm.assertEq(market.sweepFees(burn, address(token)), 100_000);
        vm.assertEq(token.balanceOf(burn), 100_000);
        vm.expectRevert(abi.encodeWithSelector(Errors.NothingToWithdraw.selector, burn, address(token)));
        market.sweepFees(burn, address(token));
    }

    function test_AnEarlierSinkIsStillSentWhatItIsOwed() public {
        earn("a");
        setSink(burn);
        earn("b");
        vm.assertEq(market.sweepFees(sink, address(token)), 100_000);
        vm.assertEq(market.sweepFees(burn, address(token)), 100_000);
        vm.assertEq(token.balanceOf(sink), 100_000);
    }

    function test_NobodyElsesCreditIsSent() public {
        earn(0);
        address[3] memory others = [provider, customer, stranger];
        for (uint256 i = 0; i < 3; ++i) {
            vm.expectRevert(abi.encodeWithSelector(Errors.NothingToWithdraw.selector, others[i], address(token)));
            market.sweepFees(others[i], address(token));
        }
    }

    /// @dev The owner can name anybody: that must not let strangers have its deposit sent to it.
    function test_TheCreditOfWhoeverIsOrWasASinkIsItsOwn() public {
        vm.prank(customer);
        market.deposit(customer, address(token), 9e6);
        setSink(customer);
        vm.expectRevert(abi.encodeWithSelector(Errors.NothingToWithdraw.selector, customer, address(token)));
        vm.prank(stranger);
        market.sweepFees(customer, address(token));
        uint256 before = token.balanceOf(customer);
        earn(0);
        setSink(sink);
        vm.assertEq(creditOf(customer), 9e6 - 4e6);
        vm.prank(stranger);
        vm.assertEq(market.sweepFees(customer, address(token)), 100_000);
        vm.assertEq(creditOf(customer), 5e6);
        vm.assertEq(token.balanceOf(customer), before + 100_000);
        vm.prank(customer);
        vm.assertEq(market.withdraw(address(token), customer, type(uint256).max), 5e6);
    }

    /// @dev What binds a provider's credit binds its fees too. Its credit stays.
    function test_ASinkThatIsAProviderIsSentToItsPayoutAddress() public {
        setSink(provider);
        earn(0);
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.FeesSwept(provider, address(token), payout, 100_000);
        vm.prank(stranger);
        vm.assertEq(market.sweepFees(provider, address(token)), 100_000);
        vm.assertEq(token.balanceOf(payout), 100_000);
        vm.assertEq(token.balanceOf(provider), 0);
        vm.assertEq(creditOf(provider), 3.9e6);
    }
}
