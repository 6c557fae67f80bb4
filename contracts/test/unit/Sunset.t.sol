// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarketErrors as Errors} from "../../src/interfaces/IComputeMarketErrors.sol";
import {IComputeMarketEvents} from "../../src/interfaces/IComputeMarketEvents.sol";
import {JobStatus} from "../../src/types/Job.sol";
import {JobId} from "../../src/types/JobId.sol";
import {OfferTerms} from "../../src/types/Offer.sol";
import {LastVoucher} from "../../src/types/Voucher.sol";
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
        open(1, 3600, "last");
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
    }

    /// @dev An hour before it, with the sunset announced and the offer as it was posted.
    function runningAnHourBefore(bytes32 salt) private returns (JobId id) {
        announce(uint64(T0 + 30 days));
        vm.warp(T0 + 30 days - 3600);
        id = open(2, 7200, salt);
        start(id);
    }

    function test_AJobThatRunsThenIsToppedUpClaimedAndEndedAfterIt() public {
        JobId id = runningAnHourBefore("running");
        vm.warp(T0 + 30 days + 1);
        vm.prank(customer);
        market.topUp(id, 3600);
        vm.assertEq(claim(id, 7202), 1);
        startAs(id, stranger);
        start(id);
        vm.warp(T0 + 30 days + 7200);
        vm.assertEq(claim(id, 21_600), 1);
        vm.assertEq(end(id, 0, 21_600), 1);
        assertStatus(id, JobStatus.Closed);
        paidOutInFull(12e6);
    }

    function test_AJobThatRunsThenIsEndedEarlyAndSettledAfterIt() public {
        JobId id = runningAnHourBefore("ended early");
        vm.warp(T0 + 30 days + 1);
        vm.prank(customer);
        vm.assertEq(market.endJob(ref(id)), T0 + 30 days + 61);
        vm.warp(T0 + 30 days + 61);
        settled(id, 7322);
        paidOutInFull(4_067_777);
    }

    /// @dev Not started yet when the last order was taken.
    function test_WhatIsOrderedInTheLastSecondIsServedDeclinedOrRefundedAfterIt() public {
        announce(uint64(T0 + 30 days));
        vm.warp(T0 + 30 days);
        (JobId served, JobId declined, JobId left) =
            (open(2, 3600, "served"), open(1, 3600, "no"), open(1, 3600, "left"));
        vm.warp(T0 + 30 days + 1);
        start(served);
        vm.prank(operator);
        vm.assertEq(market.declineJobs(refs(one(declined)), "no"), 1);
        vm.warp(T0 + 30 days + START_WINDOW + 1);
        vm.assertEq(market.refund(refs(one(left))), 1);
        vm.warp(T0 + 30 days + 3601);
        settled(served, 7200);
        paidOutInFull(4e6);
    }

    function settled(JobId id, uint64 gpuSeconds) private {
        LastVoucher[] memory vouchers = one(last(sign(id, gpuSeconds), ref(id)));
        vm.prank(operator);
        vm.assertEq(market.settle(offerId, vouchers, noProofs()), 1);
        assertStatus(id, JobStatus.Closed);
    }

    /// @dev Years later everybody has what is theirs: provider and sink so much together, the customer all the rest.
    function paidOutInFull(uint256 earned) private {
        vm.warp(T0 + 3650 days);
        vm.prank(operator);
        market.withdrawFor(provider, address(token));
        market.sweepFees(sink, address(token));
        if (creditOf(customer) != 0) {
            vm.prank(customer);
            market.withdraw(address(token), customer, type(uint256).max);
        }
        vm.assertEq(token.balanceOf(payout) + token.balanceOf(sink), earned);
        vm.assertEq(token.balanceOf(customer), 1e12 - earned);
        vm.assertEq(token.balanceOf(address(market)), 0);
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
