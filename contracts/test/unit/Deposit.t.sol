// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarketErrors as Errors} from "../../src/interfaces/IComputeMarketErrors.sol";
import {IComputeMarketEvents} from "../../src/interfaces/IComputeMarketEvents.sol";
import {JobId} from "../../src/types/JobId.sol";
import {Order} from "../../src/types/Order.sol";
import {HostileTokenTest} from "../support/HostileTokenTest.sol";
import {vm} from "../support/Vm.sol";

contract DepositTest is HostileTokenTest {
    function test_AnybodyCreditsAnybody() public {
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.Deposited(stranger, address(token), customer, 5e6);
        vm.prank(customer);
        market.deposit(stranger, address(token), 5e6);
        vm.assertEq(creditOf(stranger), 5e6);
        vm.assertEq(creditOf(customer), 0);
        vm.assertEq(token.balanceOf(address(market)), 5e6);
        vm.prank(stranger);
        vm.assertEq(market.withdraw(address(token), stranger, 2e6), 2e6);
        vm.assertEq(creditOf(stranger), 3e6);
        vm.prank(stranger);
        vm.assertEq(market.withdraw(address(token), stranger, 4e6), 3e6);
    }

    function test_NobodyIsNoAccount() public {
        vm.expectRevert(abi.encodeWithSelector(Errors.ZeroAccount.selector));
        vm.prank(customer);
        market.deposit(address(0), address(token), 5e6);
        Order memory order = orderOf(offerId, address(0), 1, 3600, PRICE, 0, "");
        vm.expectRevert(abi.encodeWithSelector(Errors.ZeroAccount.selector));
        vm.prank(customer);
        market.openJob(order, "");
    }

    /// @dev What it is owed nobody could have sent.
    function test_TheMarketItselfIsNoAccount() public {
        vm.expectRevert(abi.encodeWithSelector(Errors.AccountIsTheMarket.selector));
        vm.prank(customer);
        market.deposit(address(market), address(token), 5e6);
        Order memory order = orderOf(offerId, address(market), 1, 3600, PRICE, 0, "");
        vm.expectRevert(abi.encodeWithSelector(Errors.AccountIsTheMarket.selector));
        vm.prank(customer);
        market.openJob(order, "");
    }

    function test_ItMustArriveInFull() public {
        hostile.setFee(1);
        vm.expectRevert(abi.encodeWithSelector(Errors.TransferMismatch.selector, address(token), 5, 4));
        vm.prank(customer);
        market.deposit(customer, address(token), 5);
    }

    /// @dev What is credited while it is on its way can't be spent twice.
    function test_ItCantBeTakenOutWhileItComesIn() public {
        hostile.setCall(
            address(market), abi.encodeCall(market.withdraw, (address(token), address(hostile), type(uint256).max))
        );
        vm.expectRevert(abi.encodeWithSignature("ReentrancyGuardReentrantCall()"));
        vm.prank(customer);
        market.deposit(address(hostile), address(token), 5e6);
    }

    /// @dev One pays, another is the customer: ends it, and is credited what comes back.
    function test_AnOrderForSomebodyElseIsTheirs() public {
        Order memory order = orderOf(offerId, stranger, 2, 3600, PRICE, 0, "{}");
        JobId expected = market.jobIdOf(order, PRICE, 0);
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.JobOpened(expected, offerId, stranger, 3600, digestOf(order), order.specHash);
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.SpecPosted(expected, "{}");
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.JobPaidBy(expected, customer);
        JobId id = place(customer, order, "{}");
        start(id);
        vm.expectRevert(abi.encodeWithSelector(Errors.NotCustomer.selector, id, customer));
        vm.prank(customer);
        market.endJob(ref(id));
        vm.prank(stranger);
        market.endJob(ref(id));
        vm.assertEq(creditOf(stranger), 4e6 * 3480 / uint256(3600));
        vm.assertEq(creditOf(customer), 0);
    }

    function test_ASpecIsTheOneThatWasHashed() public {
        Order memory order = orderOf(offerId, customer, 1, 3600, PRICE, 0, "{}");
        vm.expectRevert(abi.encodeWithSelector(Errors.SpecMismatch.selector, keccak256("{}"), keccak256("{ }")));
        vm.prank(customer);
        market.openJob(order, "{ }");
        vm.expectRevert(abi.encodeWithSelector(Errors.SpecMissing.selector, keccak256("{}")));
        vm.prank(customer);
        market.openJob(order, "");
        order.specOffChain = true;
        vm.recordLogs();
        place(customer, order, "");
        // The order and the transfer, and no text.
        vm.assertEq(vm.getRecordedLogs().length, 2);
    }
}
