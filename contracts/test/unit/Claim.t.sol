// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarket} from "../../src/interfaces/IComputeMarket.sol";
import {IComputeMarketErrors} from "../../src/interfaces/IComputeMarketErrors.sol";
import {IComputeMarketEvents} from "../../src/interfaces/IComputeMarketEvents.sol";
import {JobStatus, SkipReason} from "../../src/types/Job.sol";
import {JobId} from "../../src/types/JobId.sol";
import {OfferTerms} from "../../src/types/Offer.sol";
import {OfferId} from "../../src/types/OfferId.sol";
import {UseLibrary} from "../../src/types/Use.sol";
import {Settlement, Voucher} from "../../src/types/Voucher.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {vm} from "../support/Vm.sol";

contract ClaimTest is MarketTest {
    function skipped(Voucher memory voucher, SkipReason why) private {
        uint256 before = creditOf(provider);
        expectSkip(voucher.use.job(offerId), why);
        vm.assertEq(market.claim(offerId, one(voucher), noProofs()), 0);
        vm.assertEq(creditOf(provider), before);
    }

    function test_UseIsPaidLessTheFee() public {
        JobId id = running();
        vm.warp(T0 + 1800);
        vm.assertEq(claim(id, 1800), 1);
        vm.assertEq(market.job(id).used, 1800);
        vm.assertEq(market.job(id).paid, 1e6);
        vm.assertEq(creditOf(provider), 975_000);
        vm.assertEq(feesOf(sink), 25_000);
        assertBooks(id);
    }

    function test_ABatchIsOneLogWithALinePerPaidJob() public {
        JobId a = open(1, 3600, "a");
        JobId b = open(2, 3600, "b");
        start(a);
        start(b);
        vm.warp(T0 + 3600);
        Voucher[] memory vouchers = new Voucher[](3);
        vouchers[0] = sign(a, 3600);
        vouchers[1] = sign(a, 3600);
        vouchers[2] = sign(b, 7000);

        Settlement[] memory lines = new Settlement[](2);
        lines[0] = Settlement(UseLibrary.pack(a, 3600), vouchers[0].evidenceRoot);
        lines[1] = Settlement(UseLibrary.pack(b, 7000), vouchers[2].evidenceRoot);
        expectSkip(a, SkipReason.Stale);
        uint256 paid = 2e6 + uint256(7000) * 2e6 / 3600;
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.UsageClaimed(offerId, provider, lines, 10_600, paid, 50_000 + 97_222);
        vm.prank(stranger);
        vm.assertEq(market.claim(offerId, vouchers, noProofs()), 2);
        vm.assertEq(creditOf(provider) + feesOf(sink), paid);
    }

    /// @dev More than an operator puts into one transaction: only gas bounds a batch.
    function test_EachVoucherOfALargeBatchIsPaid() public {
        JobId[] memory ids = new JobId[](300);
        address[] memory signers = new address[](300);
        Voucher[] memory vouchers = new Voucher[](300);
        for (uint256 i = 0; i < 300; ++i) {
            ids[i] = open(1, 3600, bytes32(i));
            signers[i] = attestor;
            vouchers[i] = sign(ids[i], uint64(1800 + i));
        }
        vm.prank(operator);
        vm.assertEq(market.startJobs(ids, signers), 300);
        vm.warp(T0 + 3600);
        vm.assertEq(market.claim(offerId, vouchers, noProofs()), 300);
        for (uint256 i = 0; i < 300; ++i) {
            vm.assertEq(market.job(ids[i]).used, 1800 + i);
        }
        vm.assertEq(market.offer(offerId).settledGpuSeconds, 300 * 1800 + 299 * 150);
    }

    function test_AVoucherOlderThanTheClaimPaysNothing() public {
        JobId id = running();
        vm.warp(T0 + 1800);
        Voucher memory older = sign(id, 900);
        claim(id, 1800);
        skipped(older, SkipReason.Stale);
        skipped(sign(id, 1800), SkipReason.Stale);
    }

    function test_UseBeyondRunningTimeIsCutAndCanBeClaimedLater() public {
        JobId id = running();
        vm.warp(T0 + 100);
        Voucher memory eager = sign(id, 7200);
        market.claim(offerId, one(eager), noProofs());
        vm.assertEq(market.job(id).used, 200);
        vm.warp(T0 + 3600 + CLAIM_WINDOW);
        market.claim(offerId, one(eager), noProofs());
        vm.assertEq(market.job(id).used, 7200);
        vm.assertEq(market.job(id).paid, 4e6);
    }

    function test_UseBeyondTheEndIsCut() public {
        JobId id = running();
        vm.warp(T0 + 4000);
        claim(id, type(uint64).max);
        vm.assertEq(market.job(id).used, 7200);
        assertBooks(id);
    }

    function test_AForgedVoucherIsSkippedAndTheRestIsPaid() public {
        JobId id = running();
        vm.warp(T0 + 1000);
        Voucher[] memory vouchers = new Voucher[](2);
        vouchers[0] = signAs(0xBAD, id, 2000);
        vouchers[1] = sign(id, 1000);
        expectSkip(id, SkipReason.BadSignature);
        vm.assertEq(market.claim(offerId, vouchers, noProofs()), 1);
        vm.assertEq(market.job(id).used, 1000);
    }

    function test_ASignatureCoversCountEvidenceAndJob() public {
        JobId id = running();
        JobId other = open(2, 3600, "other");
        start(other);
        vm.warp(T0 + 1000);
        Voucher memory changed = sign(id, 500);
        changed.use = UseLibrary.pack(id, 501);
        skipped(changed, SkipReason.BadSignature);
        changed = sign(id, 500);
        changed.evidenceRoot = 0;
        skipped(changed, SkipReason.BadSignature);
        changed = sign(id, 500);
        changed.use = UseLibrary.pack(other, 500);
        skipped(changed, SkipReason.BadSignature);
    }

    function test_ASignatureForAnotherMarketCountsForNothing() public {
        JobId id = running();
        vm.warp(T0 + 1000);
        IComputeMarket here = market;
        market = deployMarket(0, sink);
        Voucher memory elsewhere = sign(id, 500);
        market = here;
        skipped(elsewhere, SkipReason.BadSignature);
    }

    /// @dev A chain that splits has the same market at the same address on both sides: what was signed on one side is worth
    /// nothing on the other, and the market names the digest of the side that it is on.
    function test_ASignatureForAnotherChainCountsForNothing() public {
        JobId id = running();
        vm.warp(T0 + 1000);
        vm.chainId(31_337);
        Voucher memory elsewhere = sign(id, 500);
        vm.chainId(99_999);
        skipped(elsewhere, SkipReason.BadSignature);
        Voucher memory here = sign(id, 500);
        vm.assertTrue(here.r != elsewhere.r);
        vm.assertEq(market.claim(offerId, one(here), noProofs()), 1);
    }

    /// @dev In the compact form most of the other signatures of a message can't be written down: s has 255 bits. Those that
    /// can have an s just above half of the order of the curve.
    function test_AMalleableOrEmptySignatureIsNoSignature() public {
        JobId id = running();
        vm.warp(T0 + 1000);
        Voucher memory voucher = sign(id, 500);
        bytes32 digest = market.voucherDigest(id, 500, voucher.evidenceRoot);
        uint256 half = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0;
        // The first coordinate of a point of the curve: the generator's.
        voucher.r = 0x79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798;
        voucher.vs = bytes32(half + 1);
        address signer = ecrecover(digest, 27, voucher.r, voucher.vs);
        vm.assertTrue(signer != address(0));
        startAs(id, signer);
        skipped(voucher, SkipReason.BadSignature);
        voucher.vs = bytes32(half);
        startAs(id, ecrecover(digest, 27, voucher.r, voucher.vs));
        vm.assertEq(market.claim(offerId, one(voucher), noProofs()), 1);

        voucher = sign(id, 600);
        (voucher.r, voucher.vs) = (0, 0);
        skipped(voucher, SkipReason.BadSignature);
    }

    function test_VouchersOfARotatedAttestorCountNoMore() public {
        JobId id = running();
        vm.warp(T0 + 1000);
        Voucher memory old = sign(id, 2000);
        startAs(id, vm.addr(0xBEEF));
        skipped(old, SkipReason.BadSignature);
        vm.assertEq(market.claim(offerId, one(signAs(0xBEEF, id, 1500)), noProofs()), 1);
    }

    function test_AJobThatWasNotStartedPaysNothing() public {
        skipped(sign(open(1, 3600, 0), 1), SkipReason.NotStarted);
        skipped(sign(JobId.wrap(bytes32(OfferId.unwrap(offerId))), 1), SkipReason.NotLive);
    }

    function test_AClosedJobPaysNothing() public {
        JobId id = running();
        vm.warp(T0 + 1000);
        end(id, 0, 0);
        skipped(sign(id, 2000), SkipReason.NotLive);
    }

    function test_TheClaimWindowEndsWhereTheRefundBegins() public {
        JobId id = running();
        vm.warp(T0 + 3600 + CLAIM_WINDOW);
        vm.assertEq(market.refund(refs(one(id))), 0);
        vm.assertEq(claim(id, 3600), 1);
        vm.warp(T0 + 3600 + CLAIM_WINDOW + 1);
        skipped(sign(id, 7200), SkipReason.ClaimWindowPassed);
        vm.assertEq(market.refund(refs(one(id))), 1);
    }

    /// @dev What is wrong with a voucher in the last second of the window is not that it came too late.
    function test_InTheLastSecondOfItsWindowAVoucherIsJudgedAsBefore() public {
        JobId id = running();
        vm.warp(T0 + 3600 + CLAIM_WINDOW);
        skipped(signAs(0xBAD, id, 7200), SkipReason.BadSignature);
        claim(id, 3600);
        skipped(sign(id, 3600), SkipReason.Stale);
    }

    function test_AJobOfAnotherOfferIsSkipped() public {
        OfferTerms memory t = terms();
        t.salt = "other";
        OfferId other = post(t);
        JobId id = running();
        vm.warp(T0 + 1000);
        Voucher memory voucher = sign(id, 500);
        expectSkip(voucher.use.job(other), SkipReason.NotLive);
        vm.assertEq(market.claim(other, one(voucher), noProofs()), 0);
    }

    function test_AnUnknownOfferCantBeClaimedFor() public {
        OfferId none = OfferId.wrap("none");
        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.UnknownOffer.selector, none));
        market.claim(none, new Voucher[](0), noProofs());
    }

    function test_AClaimClosesNothing() public {
        JobId id = running();
        vm.warp(T0 + 3600);
        claim(id, 7200);
        assertStatus(id, JobStatus.Ended);
    }

    function test_WhatAnOfferEarnedIsCounted() public {
        JobId id = running();
        vm.warp(T0 + 3600);
        claim(id, 3600);
        claim(id, 5400);
        vm.assertEq(market.offer(offerId).settledGpuSeconds, 5400);
        vm.assertEq(market.offer(offerId).settledAmount, 3e6);
    }

    function test_NothingPaidIsNothingLogged() public {
        JobId id = running();
        vm.recordLogs();
        market.claim(offerId, one(sign(id, 0)), noProofs());
        vm.assertEq(vm.getRecordedLogs().length, 1);
    }

    function test_ACountOfAnyHeightIsCutToTheBoundAndNotToItsLowBits() public {
        JobId id = running();
        vm.warp(T0 + 1000);
        uint64[5] memory highest = [uint64(38), 39, 40, 62, 63];
        uint256 fork = vm.snapshotState();
        for (uint256 i = 0; i < highest.length; ++i) {
            vm.revertToState(fork);
            fork = vm.snapshotState();
            vm.assertEq(claim(id, (uint64(1) << highest[i]) + 7), 1);
            vm.assertEq(market.job(id).used, 2000);
        }
    }

    /// @dev One less than the bound, the bound, and one more.
    function test_TheBoundIsPaidToTheUnit() public {
        JobId id = running();
        vm.warp(T0 + 1000);
        claim(id, 1999);
        vm.assertEq(market.job(id).used, 1999);
        claim(id, 2001);
        vm.assertEq(market.job(id).used, 2000);
        vm.warp(T0 + 3599);
        claim(id, 7200);
        vm.assertEq(market.job(id).used, 7198);
        vm.warp(T0 + 3600);
        claim(id, 7200);
        vm.assertEq(market.job(id).used, 7200);
    }
}
