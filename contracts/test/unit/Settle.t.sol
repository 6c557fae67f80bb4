// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarketErrors as Errors} from "../../src/interfaces/IComputeMarketErrors.sol";
import {IComputeMarketEvents} from "../../src/interfaces/IComputeMarketEvents.sol";
import {JobStatus, SkipReason} from "../../src/types/Job.sol";
import {JobId} from "../../src/types/JobId.sol";
import {OfferTerms} from "../../src/types/Offer.sol";
import {OfferId} from "../../src/types/OfferId.sol";
import {UseLibrary} from "../../src/types/Use.sol";
import {LastVoucher, Settlement, Voucher} from "../../src/types/Voucher.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {vm} from "../support/Vm.sol";

contract SettleTest is MarketTest {
    function settle(LastVoucher memory voucher) private returns (uint256) {
        vm.prank(operator);
        return market.settle(offerId, one(voucher), noProofs());
    }

    function settle(JobId id, uint64 count) private returns (uint256) {
        return settle(last(sign(id, count), ref(id)));
    }

    function skipped(LastVoucher memory voucher, SkipReason why) private {
        JobId id = voucher.use.job(offerId);
        JobStatus before = statusOf(id);
        uint256 used = market.job(id).used;
        expectSkip(id, why);
        vm.assertEq(settle(voucher), 0);
        assertStatus(id, before);
        vm.assertEq(market.job(id).used, used);
    }

    function test_TheLastUseIsPaidAndTheRestGoesBackAtOnce() public {
        JobId id = running();
        vm.warp(T0 + 1800);
        Voucher memory voucher = sign(id, 1800);
        Settlement[] memory lines = new Settlement[](1);
        lines[0] = Settlement(UseLibrary.pack(id, 1800), voucher.evidenceRoot);
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.JobSettled(id, customer, 3e6);
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.UsageClaimed(offerId, provider, lines, 1800, 1e6, 25_000);
        vm.assertEq(settle(last(voucher, ref(id))), 1);
        assertStatus(id, JobStatus.Closed);
        vm.assertEq(market.job(id).used, 1800);
        vm.assertEq(market.job(id).paid, 1e6);
        vm.assertEq(creditOf(provider), 975_000);
        vm.assertEq(creditOf(customer), 3e6);
        assertBooks(id);
        skipped(last(sign(id, 2000), ref(id)), SkipReason.NotLive);
    }

    /// @dev Anybody may claim first: then there is nothing left to be signed for, and the end is not hindered.
    function test_AVoucherThatWasClaimedBeforeClosesItsJobToo() public {
        JobId id = running();
        vm.warp(T0 + 1800);
        Voucher memory voucher = sign(id, 1800);
        vm.prank(stranger);
        market.claim(offerId, one(voucher), noProofs());
        voucher.vs = 0;
        vm.recordLogs();
        vm.assertEq(settle(last(voucher, ref(id))), 1);
        vm.assertEq(vm.getRecordedLogs().length, 1);
        assertStatus(id, JobStatus.Closed);
        vm.assertEq(creditOf(customer), 3e6);
        vm.assertEq(creditOf(provider), 975_000);
    }

    /// @dev No voucher at all: what was not claimed goes back.
    function test_ACountOfZeroClosesWithoutAVoucher() public {
        JobId id = running();
        vm.warp(T0 + 1800);
        vm.assertEq(settle(LastVoucher(UseLibrary.pack(id, 0), 0, 0, 0, customer, ref(id).orderHash)), 1);
        vm.assertEq(creditOf(customer), 4e6);
    }

    function test_AForgedVoucherClosesNothing() public {
        JobId id = running();
        vm.warp(T0 + 1800);
        skipped(last(signAs(0xBAD, id, 1800), ref(id)), SkipReason.BadSignature);
    }

    /// @dev A clock that is ahead: the rest can be paid a little later.
    function test_MoreThanCanBePaidYetWaits() public {
        JobId id = running();
        vm.warp(T0 + 1800);
        skipped(last(sign(id, 3601), ref(id)), SkipReason.UnclaimedUse);
        vm.assertEq(settle(id, 3600), 1);
        JobId full = open(2, 3600, "full");
        start(full);
        vm.warp(block.timestamp + 3599);
        skipped(last(sign(full, 7199), ref(full)), SkipReason.UnclaimedUse);
        vm.warp(block.timestamp + 1);
        vm.assertEq(settle(full, 9999), 1);
        vm.assertEq(market.job(full).used, 7200);
        vm.assertEq(creditOf(provider) + feesOf(sink), 6e6);
    }

    /// @dev All was claimed, and the time is over: more can be signed for and never paid.
    function test_MoreThanCanEverBePaidDoesntKeepAJobOpen() public {
        JobId id = running();
        vm.warp(T0 + 3600);
        claim(id, 7200);
        vm.assertEq(settle(last(signAs(0xBAD, id, 9999), ref(id))), 1);
        assertStatus(id, JobStatus.Closed);
    }

    function test_TheClaimWindowHolds() public {
        JobId id = running();
        vm.warp(T0 + 3600 + CLAIM_WINDOW + 1);
        skipped(last(sign(id, 7200), ref(id)), SkipReason.ClaimWindowPassed);
        vm.warp(T0 + 3600 + CLAIM_WINDOW);
        vm.assertEq(settle(id, 7200), 1);
    }

    function test_AJobThatWasNotStartedOrIsNotThereIsSkipped() public {
        JobId id = open(1, 3600, "not started");
        skipped(last(sign(id, 1), ref(id)), SkipReason.NotStarted);
        vm.warp(T0 + 3600);
        skipped(last(sign(id, 0), ref(id)), SkipReason.NotStarted);
        JobId none = JobId.wrap(bytes32(OfferId.unwrap(offerId)));
        skipped(last(sign(none, 1), ref(none)), SkipReason.NotLive);
        OfferTerms memory t = terms();
        t.salt = "other";
        OfferId other = post(t);
        JobId mine = running();
        LastVoucher memory voucher = last(sign(mine, 0), ref(mine));
        expectSkip(voucher.use.job(other), SkipReason.NotLive);
        vm.prank(operator);
        vm.assertEq(market.settle(other, one(voucher), noProofs()), 0);
    }

    function test_NobodyElsesOrderIsCredited() public {
        JobId id = running();
        LastVoucher memory voucher = last(sign(id, 0), ref(id));
        voucher.customer = stranger;
        skipped(voucher, SkipReason.WrongOrder);
        voucher = last(sign(id, 0), ref(id));
        voucher.orderHash = 0;
        skipped(voucher, SkipReason.WrongOrder);
        voucher.customer = address(0);
        skipped(voucher, SkipReason.WrongOrder);
        vm.assertEq(settle(id, 0), 1);
    }

    function test_OnlyTheOperatorSettles() public {
        JobId id = running();
        LastVoucher[] memory vouchers = one(last(sign(id, 0), ref(id)));
        vm.expectRevert(abi.encodeWithSelector(Errors.NotOperator.selector, stranger, provider));
        vm.prank(stranger);
        market.settle(offerId, vouchers, noProofs());
        vm.expectRevert(abi.encodeWithSelector(Errors.UnknownOffer.selector, OfferId.wrap("none")));
        vm.prank(operator);
        market.settle(OfferId.wrap("none"), vouchers, noProofs());
        vm.expectRevert(abi.encodeWithSelector(Errors.LengthMismatch.selector, 1, 2));
        vm.prank(operator);
        market.settle(offerId, vouchers, new bytes[](2));
        vm.expectRevert(abi.encodeWithSelector(Errors.LengthMismatch.selector, 0, 1));
        market.claim(offerId, new Voucher[](0), new bytes[](1));
        vm.prank(provider);
        vm.assertEq(market.settle(offerId, vouchers, noProofs()), 1);
    }

    function openAs(address by, uint16 gpus, bytes32 salt) private returns (JobId id) {
        id = place(by, orderOf(offerId, by, gpus, 3600, PRICE, salt, "{}"), "{}");
        start(id);
    }

    /// @dev Customers in any order, each with its own count and rest; one that is skipped in between.
    function test_EachCustomerGetsItsOwnRest() public {
        fund(stranger, 1e12);
        JobId[5] memory ids = [
            openAs(customer, 1, "a"),
            openAs(customer, 2, "b"),
            openAs(stranger, 1, "c"),
            openAs(stranger, 4, "d"),
            openAs(customer, 8, "e")
        ];
        vm.warp(T0 + 1800);
        uint64[5] memory counts = [uint64(900), 1800, 1800, 0, 4500];
        LastVoucher[] memory vouchers = new LastVoucher[](5);
        for (uint256 i = 0; i < 5; ++i) {
            vouchers[i] = last(i == 3 ? signAs(0xBAD, ids[i], 1) : sign(ids[i], counts[i]), ref(ids[i]));
        }
        uint256[5] memory rest = [uint256(1.5e6), 3e6, 1e6, 0, 13.5e6];
        for (uint256 i = 0; i < 5; ++i) {
            if (i == 3) {
                expectSkip(ids[i], SkipReason.BadSignature);
                continue;
            }
            vm.expectEmit(address(market));
            emit IComputeMarketEvents.JobSettled(ids[i], i == 2 ? stranger : customer, rest[i]);
        }
        vm.prank(operator);
        vm.assertEq(market.settle(offerId, vouchers, noProofs()), 4);
        vm.assertEq(creditOf(customer), 18e6);
        vm.assertEq(creditOf(stranger), 1e6);
        assertStatus(ids[3], JobStatus.Running);
        vm.assertEq(market.offer(offerId).settledGpuSeconds, 9000);
    }

    /// @dev The same job twice in one batch: closed once, refunded once.
    function test_AJobIsSettledOnce() public {
        JobId id = running();
        vm.warp(T0 + 1800);
        LastVoucher[] memory vouchers = new LastVoucher[](2);
        (vouchers[0], vouchers[1]) = (last(sign(id, 900), ref(id)), last(sign(id, 1800), ref(id)));
        expectSkip(id, SkipReason.NotLive);
        vm.prank(operator);
        vm.assertEq(market.settle(offerId, vouchers, noProofs()), 1);
        vm.assertEq(market.job(id).used, 900);
        assertBooks(id);
    }

    /// @dev In the last second of its time a job is still running, and one whose voucher reaches its bound is closed then.
    function test_WhatIsSettledBeforeItsEndCountsAsEndedByTheProvider() public {
        JobId early = running();
        JobId told = open(1, 3600, "told");
        JobId full = open(1, 3600, "full");
        start(told);
        start(full);
        end(told, uint64(T0 + 2000), 0);
        vm.warp(T0 + 1800);
        settle(early, 3600);
        settle(told, 1800);
        vm.assertEq(market.offer(offerId).counters.endedByProvider, 2);
        vm.assertEq(market.offer(offerId).counters.completed, 0);
        vm.warp(T0 + 3600);
        settle(full, 0);
        vm.assertEq(market.offer(offerId).counters.completed, 1);
        vm.assertEq(market.offer(offerId).counters.endedByProvider, 2);
        vm.assertEq(market.offer(offerId).settledGpuSeconds, 5400);
        JobId another = open(1, 3600, "another");
        start(another);
        vm.warp(block.timestamp + 3600);
        settle(another, 0);
        vm.assertEq(market.offer(offerId).counters.completed, 2);
    }
}
