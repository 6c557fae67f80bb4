// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarketErrors as Errors} from "../../src/interfaces/IComputeMarketErrors.sol";
import {IComputeMarketEvents} from "../../src/interfaces/IComputeMarketEvents.sol";
import {JobId} from "../../src/types/JobId.sol";
import {OfferTerms} from "../../src/types/Offer.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {vm} from "../support/Vm.sol";

contract SunsetTest is MarketTest {
    function announce(uint64 last) private {
        vm.prank(owner);
        market.announceSunset(last);
    }

    function update() private {
        vm.prank(operator);
        market.updateOffer(offerId, PRICE, AVAILABLE, type(uint64).max);
    }

    function test_AnAnnouncementIsKeptAndLogged() public {
        vm.assertEq(market.sunset(), 0);
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.SunsetAnnounced(uint64(T0 + 30 days));
        announce(uint64(T0 + 30 days));
        vm.assertEq(market.sunset(), T0 + 30 days);
    }

    function test_OnlyTheOwnerAndNotTooSoon() public {
        vm.expectRevert(abi.encodeWithSignature("OwnableUnauthorizedAccount(address)", stranger));
        vm.prank(stranger);
        market.announceSunset(uint64(T0 + 60 days));
        vm.expectRevert(abi.encodeWithSelector(Errors.SunsetTooSoon.selector, T0 + 30 days - 1, T0 + 30 days));
        announce(uint64(T0 + 30 days - 1));
        uint64 far = uint64(type(uint40).max) + 1;
        vm.expectRevert(abi.encodeWithSelector(Errors.SunsetTooLate.selector, far, type(uint40).max));
        announce(far);
        announce(far - 1);
    }

    /// @dev Whatever was posted before the announcement, or right up to its end.
    function test_NoOrderIsTakenAfterIt() public {
        update();
        announce(uint64(T0 + 30 days));
        vm.warp(T0 + 20 days);
        update();
        vm.assertEq(market.offer(offerId).validUntil, T0 + 30 days);
        vm.warp(T0 + 30 days);
        JobId last = open(1, 3600, "last");
        vm.warp(T0 + 30 days + 1);
        vm.expectRevert(abi.encodeWithSelector(Errors.OfferExpired.selector, offerId, T0 + 30 days));
        open(1, 3600, 0);
        update();
        vm.expectRevert(abi.encodeWithSelector(Errors.OfferExpired.selector, offerId, T0 + 30 days));
        open(1, 3600, 0);
        OfferTerms memory t = terms();
        t.salt = "new";
        offerId = post(t);
        vm.expectRevert(abi.encodeWithSelector(Errors.OfferExpired.selector, offerId, T0 + 30 days));
        open(1, 3600, 0);

        // What was ordered by then runs, is topped up, claimed, ended and paid out.
        offerId = last.offerId();
        start(last);
        vm.prank(customer);
        market.topUp(last, 3600);
        vm.warp(block.timestamp + 7200);
        vm.assertEq(claim(last, 7000), 1);
        vm.assertEq(end(last, 0, 7000), 1);
        vm.prank(operator);
        market.withdrawFor(provider, address(token));
    }

    function test_ItCanBeMovedOrTakenBackUntilItHasPassed() public {
        announce(uint64(T0 + 40 days));
        vm.warp(T0 + 5 days);
        announce(uint64(T0 + 35 days));
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.SunsetAnnounced(0);
        announce(0);
        vm.warp(T0 + 36 days);
        update();
        open(1, 3600, 0);
        announce(uint64(T0 + 66 days));
        vm.warp(T0 + 66 days);
        announce(uint64(T0 + 96 days));
        vm.warp(T0 + 96 days + 1);
        vm.expectRevert(abi.encodeWithSelector(Errors.SunsetPassed.selector, T0 + 96 days));
        announce(0);
        vm.expectRevert(abi.encodeWithSelector(Errors.SunsetPassed.selector, T0 + 96 days));
        announce(uint64(T0 + 200 days));
    }

    /// @dev An offer that nobody renews lapses by itself.
    function test_AnOfferLapsesAMonthAfterItWasPosted() public {
        vm.warp(T0 + 30 days);
        open(1, 3600, "last");
        vm.warp(T0 + 30 days + 1);
        vm.expectRevert(abi.encodeWithSelector(Errors.OfferExpired.selector, offerId, T0 + 30 days));
        open(1, 3600, 0);
        update();
        open(1, 3600, 0);
    }
}
