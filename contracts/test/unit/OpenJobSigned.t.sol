// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarket} from "../../src/interfaces/IComputeMarket.sol";
import {IComputeMarketErrors as Errors} from "../../src/interfaces/IComputeMarketErrors.sol";
import {IComputeMarketEvents} from "../../src/interfaces/IComputeMarketEvents.sol";
import {JobStatus} from "../../src/types/Job.sol";
import {JobId} from "../../src/types/JobId.sol";
import {JobRef, Order} from "../../src/types/Order.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {vm} from "../support/Vm.sol";
import {Wallet} from "../support/Wallet.sol";

contract OpenJobSignedTest is MarketTest {
    function setUp() public override {
        super.setUp();
        vm.prank(customer);
        market.deposit(customer, address(token), 10e6);
    }

    function signed(Order memory order, uint256 key) private view returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digestOf(order));
        return abi.encodePacked(r, s, v);
    }

    function order_() private view returns (Order memory) {
        return orderOf(offerId, customer, 2, 3600, PRICE, "salt", "{}");
    }

    function send(Order memory order, bytes memory signature) private returns (JobId) {
        vm.prank(stranger);
        return market.openJobSigned(order, "{}", signature);
    }

    function test_AnybodyPlacesItAndTheCustomersCreditPays() public {
        Order memory order = order_();
        JobId expected = market.jobIdOf(order, PRICE, 0);
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.JobOpened(expected, offerId, customer, 3600, digestOf(order), order.specHash);
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.SpecPosted(expected, "{}");
        JobId id = send(order, signed(order, CUSTOMER_KEY));
        vm.assertTrue(id == expected);
        assertStatus(id, JobStatus.Open);
        vm.assertEq(creditOf(customer), 6e6);
        vm.assertTrue(market.isSaltUsed(customer, uint256(bytes32("salt"))));
        vm.assertFalse(market.isSaltUsed(stranger, uint256(bytes32("salt"))));
        vm.assertEq(market.customerOf(JobRef(id, customer, orderHash(order))), customer);
    }

    function test_NobodyElsesSignatureServes() public {
        Order memory order = order_();
        bytes memory signature = signed(order, 0xBAD);
        vm.expectRevert(abi.encodeWithSelector(Errors.BadOrderSignature.selector, customer, digestOf(order)));
        send(order, signature);
        signature = signed(order, CUSTOMER_KEY);
        order.maxPrice += 1;
        vm.expectRevert(abi.encodeWithSelector(Errors.BadOrderSignature.selector, customer, digestOf(order)));
        send(order, signature);
    }

    /// @dev Whoever sees it on its way can't place it in a way that makes the provider decline.
    function test_NobodyPlacesItWithoutItsTextUnlessItSaysSo() public {
        Order memory order = order_();
        bytes memory signature = signed(order, CUSTOMER_KEY);
        vm.expectRevert(abi.encodeWithSelector(Errors.SpecMissing.selector, keccak256("{}")));
        vm.prank(stranger);
        market.openJobSigned(order, "", signature);
        order.specOffChain = true;
        vm.expectRevert(abi.encodeWithSelector(Errors.BadOrderSignature.selector, customer, digestOf(order)));
        vm.prank(stranger);
        market.openJobSigned(order, "", signature);
        signature = signed(order, CUSTOMER_KEY);
        vm.prank(stranger);
        assertStatus(market.openJobSigned(order, "", signature), JobStatus.Open);
    }

    function test_OneSignatureIsOneOrderAlsoAtAnotherPrice() public {
        Order memory order = order_();
        order.maxPrice = 2 * PRICE;
        bytes memory signature = signed(order, CUSTOMER_KEY);
        send(order, signature);
        vm.prank(operator);
        market.updateOffer(offerId, PRICE - 1, AVAILABLE, type(uint64).max);
        vm.expectRevert(abi.encodeWithSelector(Errors.SaltUsed.selector, customer, order.salt));
        send(order, signature);
        order.salt += 1;
        send(order, signed(order, CUSTOMER_KEY));
    }

    function test_AClosedOneCantBePlacedAgain() public {
        Order memory order = order_();
        bytes memory signature = signed(order, CUSTOMER_KEY);
        JobId id = send(order, signature);
        remember(id, customer, orderHash(order));
        vm.prank(operator);
        market.declineJobs(refs(one(id)), "");
        vm.expectRevert(abi.encodeWithSelector(Errors.SaltUsed.selector, customer, order.salt));
        send(order, signature);
        vm.expectRevert(abi.encodeWithSelector(Errors.JobExists.selector, id));
        vm.prank(customer);
        market.openJob(order, "{}");
    }

    function test_WhatWasCancelledIsPlacedNoMore() public {
        Order memory order = order_();
        bytes memory signature = signed(order, CUSTOMER_KEY);
        vm.prank(stranger);
        market.cancelOrders(one(order.salt));
        uint256[] memory salts = new uint256[](2);
        (salts[0], salts[1]) = (7, order.salt);
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.OrderCancelled(customer, 7);
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.OrderCancelled(customer, order.salt);
        uint256 fork = vm.snapshotState();
        vm.prank(customer);
        market.cancelOrders(salts);
        vm.assertTrue(market.isSaltUsed(customer, 7));
        vm.expectRevert(abi.encodeWithSelector(Errors.SaltUsed.selector, customer, order.salt));
        send(order, signature);
        vm.revertToState(fork);
        send(order, signature);
    }

    function test_ItLapsesAfterItsDeadline() public {
        Order memory order = order_();
        order.deadline = uint64(T0 + 60);
        bytes memory signature = signed(order, CUSTOMER_KEY);
        vm.warp(T0 + 61);
        vm.expectRevert(abi.encodeWithSelector(Errors.OrderExpired.selector, T0 + 60));
        send(order, signature);
        vm.expectRevert(abi.encodeWithSelector(Errors.OrderExpired.selector, T0 + 60));
        vm.prank(customer);
        market.openJob(order, "{}");
        vm.warp(T0 + 60);
        send(order, signature);
    }

    /// @dev Never the customer's tokens, though there is an allowance.
    function test_OnlyCreditPays() public {
        Order memory order = order_();
        order.duration = 9001;
        bytes memory signature = signed(order, CUSTOMER_KEY);
        uint256 cost = (uint256(9001) * 2 * PRICE + 3599) / 3600;
        vm.expectRevert(abi.encodeWithSelector(Errors.CreditTooLow.selector, customer, address(token), 10e6, cost));
        send(order, signature);
        order.duration = 9000;
        send(order, signed(order, CUSTOMER_KEY));
        vm.assertEq(creditOf(customer), 0);
    }

    function test_ItCountsOnItsOwnMarketAndChainAlone() public {
        Order memory order = order_();
        IComputeMarket here = market;
        market = deployMarket(0, sink);
        bytes memory elsewhere = signed(order, CUSTOMER_KEY);
        market = here;
        vm.expectRevert(abi.encodeWithSelector(Errors.BadOrderSignature.selector, customer, digestOf(order)));
        send(order, elsewhere);
        bytes memory signature = signed(order, CUSTOMER_KEY);
        vm.chainId(99_999);
        vm.expectRevert(abi.encodeWithSelector(Errors.BadOrderSignature.selector, customer, digestOf(order)));
        send(order, signature);
    }

    /// @dev An account that is a contract signs by ERC-1271, and is credited what comes back.
    function test_AContractOrdersByItsOwnRules() public {
        Wallet wallet = new Wallet(vm.addr(CUSTOMER_KEY));
        vm.prank(customer);
        market.deposit(address(wallet), address(token), 4e6);
        Order memory order = order_();
        order.customer = address(wallet);
        bytes memory signature = signed(order, CUSTOMER_KEY);
        wallet.setSilent(true);
        vm.expectRevert(abi.encodeWithSelector(Errors.BadOrderSignature.selector, address(wallet), digestOf(order)));
        send(order, signature);
        wallet.setSilent(false);
        JobId id = send(order, signature);
        remember(id, address(wallet), orderHash(order));
        vm.assertEq(creditOf(address(wallet)), 0);
        vm.prank(operator);
        market.declineJobs(refs(one(id)), "");
        vm.assertEq(creditOf(address(wallet)), 4e6);
        vm.assertEq(creditOf(customer), 10e6);
    }
}
