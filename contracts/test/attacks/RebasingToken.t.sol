// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarketErrors} from "../../src/interfaces/IComputeMarketErrors.sol";
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
        market.declineJobs(one(shrunk), "");

        token = honest;
        offerId = market.offerIdOf(terms());
        JobId id = running();
        end(id, 0, 0);
        vm.prank(customer);
        vm.assertEq(market.withdraw(address(honest), customer), 4e6);
        vm.expectRevert(
            abi.encodeWithSignature("ERC20InsufficientBalance(address,uint256,uint256)", address(market), 0, 4e6)
        );
        vm.prank(customer);
        market.withdraw(address(hostile), customer);
    }

    function test_AGrownBalanceIsNobodysCredit() public {
        JobId id = running();
        hostile.mint(address(market), 1e12);
        vm.warp(T0 + 3600);
        claim(id, 7200);
        end(id, 0, 7200);
        vm.assertEq(creditOf(provider) + creditOf(sink), 4e6);
        vm.assertEq(creditOf(customer), 0);
        vm.prank(operator);
        vm.assertEq(market.withdrawFor(provider, address(hostile)), 3.9e6);
    }

    /// @dev What shrinks while it is sent is not what was owed: nothing is sent, the credit stays.
    function test_ATokenThatTakesMoreThanItSendsCantPayOut() public {
        JobId id = open(2, 3600, 0);
        vm.prank(operator);
        market.declineJobs(one(id), "");
        hostile.setCall(address(hostile), abi.encodeCall(HostileToken.shrink, (address(market), 1)));
        open(1, 3600, "from credit, nothing moves");
        hostile.mint(address(market), 10);
        vm.expectRevert(
            abi.encodeWithSelector(IComputeMarketErrors.TransferMismatch.selector, address(hostile), 2e6, 2e6 + 1)
        );
        vm.prank(customer);
        market.withdraw(address(hostile), customer);
        vm.assertEq(creditOf(customer), 2e6);
    }
}
