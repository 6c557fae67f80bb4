// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarketErrors} from "../../src/interfaces/IComputeMarketErrors.sol";
import {JobId} from "../../src/types/JobId.sol";
import {HostileTokenTest} from "../support/HostileTokenTest.sol";
import {vm} from "../support/Vm.sol";

/// @notice A token that keeps a part of each transfer would leave the market owing more than it has.
contract FeeOnTransferTokenTest is HostileTokenTest {
    function mismatch(uint256 expected, uint256 moved) private {
        vm.expectRevert(
            abi.encodeWithSelector(IComputeMarketErrors.TransferMismatch.selector, address(hostile), expected, moved)
        );
    }

    function test_ItIsRefusedAtTheDeposit() public {
        hostile.setFee(1);
        mismatch(2e6, 2e6 - 1);
        open(1, 3600, 0);
    }

    function test_ItIsRefusedAtATopUp() public {
        JobId id = running();
        hostile.setFee(1);
        mismatch(4e6, 4e6 - 1);
        vm.prank(customer);
        market.topUp(id, 3600);
        vm.assertEq(market.job(id).duration, 3600);
    }

    /// @dev The fee is the receiver's loss then, as with any transfer of such a token: the market sends what it owes.
    function test_TurnedOnLaterItCostsTheReceiver() public {
        JobId id = open(1, 3600, 0);
        vm.prank(operator);
        market.declineJobs(refs(one(id)), "");
        hostile.setFee(1);
        vm.prank(customer);
        vm.assertEq(market.withdraw(address(hostile), stranger, type(uint256).max), 2e6);
        vm.assertEq(hostile.balanceOf(stranger), 2e6 - 1);
        vm.assertEq(hostile.balanceOf(address(market)), 0);
    }
}
