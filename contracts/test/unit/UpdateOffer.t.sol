// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarketErrors} from "../../src/interfaces/IComputeMarketErrors.sol";
import {IComputeMarketEvents} from "../../src/interfaces/IComputeMarketEvents.sol";
import {OfferId} from "../../src/types/OfferId.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {vm} from "../support/Vm.sol";

contract UpdateOfferTest is MarketTest {
    uint64 private constant FOREVER = uint64(T0 + 30 days);

    function test_PriceAvailabilityAndValidityChange() public {
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.OfferUpdated(offerId, 3e6, 1, uint64(T0 + 9));
        vm.prank(operator);
        market.updateOffer(offerId, 3e6, 1, uint64(T0 + 9));
        vm.assertEq(market.offer(offerId).price, 3e6);
        vm.assertEq(market.offer(offerId).available, 1);
        vm.assertEq(market.offer(offerId).validUntil, T0 + 9);
    }

    function test_WhatIsLoggedIsWhatIsKept() public {
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.OfferUpdated(offerId, PRICE, 2, FOREVER);
        vm.prank(operator);
        market.updateOffer(offerId, PRICE, 2, type(uint64).max);
        vm.assertEq(market.offer(offerId).validUntil, FOREVER);
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.OfferUpdated(offerId, PRICE, 2, FOREVER);
        vm.prank(operator);
        market.updateOffer(offerId, PRICE, 2, FOREVER + 1);
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.OfferUpdated(offerId, PRICE, 2, FOREVER - 1);
        vm.prank(operator);
        market.updateOffer(offerId, PRICE, 2, FOREVER - 1);
    }

    function test_TheColdKeyUpdatesToo() public {
        vm.prank(provider);
        market.updateOffer(offerId, PRICE, 1, 0);
        vm.assertEq(market.offer(offerId).available, 1);
        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.NotOperator.selector, payout, provider));
        vm.prank(payout);
        market.updateOffer(offerId, PRICE, 2, 0);
    }

    function test_AnUnknownOfferCantBeUpdated() public {
        OfferId none = OfferId.wrap("none");
        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.UnknownOffer.selector, none));
        market.updateOffer(none, PRICE, 1, 0);
    }

    function test_AStrangerCantUpdate() public {
        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.NotOperator.selector, stranger, provider));
        vm.prank(stranger);
        market.updateOffer(offerId, PRICE, 1, 0);
    }

    function test_TheFloorHolds() public {
        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.PriceBelowFloor.selector, 0, 1));
        vm.prank(operator);
        market.updateOffer(offerId, 0, 1, 0);
    }
}
