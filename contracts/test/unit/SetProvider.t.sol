// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarketErrors} from "../../src/interfaces/IComputeMarketErrors.sol";
import {IComputeMarketEvents} from "../../src/interfaces/IComputeMarketEvents.sol";
import {JobId} from "../../src/types/JobId.sol";
import {Provider} from "../../src/types/Provider.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {vm} from "../support/Vm.sol";

contract SetProviderTest is MarketTest {
    function test_KeysAreStoredAndLogged() public {
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.ProviderSet(stranger, operator, payout);
        vm.prank(stranger);
        market.setProvider(operator, payout);
        Provider memory keys = market.provider(stranger);
        vm.assertEq(keys.operator, operator);
        vm.assertEq(keys.payout, payout);
    }

    function test_EarningsMustGoSomewhere() public {
        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.ZeroPayout.selector));
        market.setProvider(operator, address(0));
        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.AccountIsTheMarket.selector));
        market.setProvider(operator, address(market));
    }

    function test_ARevokedOperatorCanDoNothingMore() public {
        JobId id = open(1, 3600, 0);
        vm.prank(provider);
        market.setProvider(address(0), payout);

        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.NotOperator.selector, operator, provider));
        vm.prank(operator);
        market.updateOffer(offerId, PRICE, 1, type(uint64).max);
        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.NotOperator.selector, operator, provider));
        vm.prank(operator);
        market.withdrawFor(provider, address(token));
        vm.prank(operator);
        vm.assertEq(market.declineJobs(refs(one(id)), "stolen"), 0);
        vm.prank(provider);
        vm.assertEq(market.declineJobs(refs(one(id)), "the cold key still can"), 1);
    }

    /// @dev The payout address binds withdrawals only: the cold key also pays its own orders with what was earned.
    function test_TheColdKeysCreditPaysItsOwnOrders() public {
        JobId id = running();
        vm.warp(T0 + 3600);
        claim(id, 7200);
        JobId own = place(provider, orderOf(offerId, provider, 1, 3600, PRICE, 0, ""), "");
        vm.assertEq(market.customerOf(ref(own)), provider);
        vm.assertEq(creditOf(provider), 3.9e6 - 2e6);
    }
}
