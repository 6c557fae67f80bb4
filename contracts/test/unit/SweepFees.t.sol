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
        emit IComputeMarketEvents.Withdrawn(burn, address(token), burn, 100_000);
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
            vm.expectRevert(abi.encodeWithSelector(Errors.NotFeeSink.selector, others[i]));
            market.sweepFees(others[i], address(token));
        }
    }

    /// @dev What binds a provider's credit binds it here too.
    function test_ASinkThatIsAProviderIsSentToItsPayoutAddress() public {
        setSink(provider);
        earn(0);
        vm.prank(stranger);
        vm.assertEq(market.sweepFees(provider, address(token)), 4e6);
        vm.assertEq(token.balanceOf(payout), 4e6);
        vm.assertEq(token.balanceOf(provider), 0);
    }
}
