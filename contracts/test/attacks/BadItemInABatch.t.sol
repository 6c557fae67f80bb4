// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarket} from "../../src/interfaces/IComputeMarket.sol";
import {JobStatus, SkipReason} from "../../src/types/Job.sol";
import {JobId} from "../../src/types/JobId.sol";
import {OfferId} from "../../src/types/OfferId.sol";
import {Voucher} from "../../src/types/Voucher.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {vm} from "../support/Vm.sol";

/// @notice One item that can't be done must not stop a batch, whoever put it there.
contract BadItemInABatchTest is MarketTest {
    JobId private none;
    JobId private foreign = JobId.wrap("an offer that is not there");
    JobId private closed;
    JobId private open_;
    JobId private running_;
    JobId private good;
    JobId private late;

    function setUp() public override {
        super.setUp();
        none = JobId.wrap(bytes32(OfferId.unwrap(offerId)));
        (closed, open_, running_) = (open(1, 3600, "closed"), open(1, 3600, "open"), open(1, 3600, "running"));
        (good, late) = (open(1, 3600, "good"), open(1, 1000, "late"));
        vm.prank(operator);
        market.declineJobs(refs(one(closed)), "");
        start(running_);
    }

    function batch(JobId a, JobId b, JobId c, JobId d, JobId e) private pure returns (JobId[] memory ids) {
        ids = new JobId[](5);
        (ids[0], ids[1], ids[2], ids[3], ids[4]) = (a, b, c, d, e);
    }

    function test_OfAClaim() public {
        start(good);
        vm.warp(T0 + 600);
        Voucher[] memory vouchers = new Voucher[](8);
        vouchers[0] = sign(none, 1);
        vouchers[1] = sign(foreign, 1);
        vouchers[2] = sign(closed, 1);
        vouchers[3] = sign(open_, 1);
        vouchers[4] = signAs(0xBAD, running_, 600);
        vouchers[5] = sign(running_, 0);
        vouchers[6] = sign(good, type(uint64).max);
        vouchers[7] = sign(good, 600);
        SkipReason[7] memory why = [
            SkipReason.NotLive,
            SkipReason.NotLive,
            SkipReason.NotLive,
            SkipReason.NotStarted,
            SkipReason.BadSignature,
            SkipReason.Stale,
            SkipReason.Stale
        ];
        for (uint256 i = 0; i < 7; ++i) {
            expectSkip(vouchers[i < 6 ? i : 7].use.job(offerId), why[i]);
        }
        vm.prank(stranger);
        vm.assertEq(market.claim(offerId, vouchers, noProofs()), 1);
        vm.assertEq(market.job(good).used, 600);
    }

    function test_OfStarts() public {
        address[] memory signers = new address[](5);
        for (uint256 i = 0; i < 4; ++i) {
            signers[i] = attestor;
        }
        vm.prank(operator);
        vm.assertEq(market.startJobs(batch(none, foreign, closed, good, open_), signers), 1);
        assertStatus(good, JobStatus.Running);
        assertStatus(open_, JobStatus.Open);
    }

    function test_OfDeclines() public {
        vm.prank(operator);
        vm.assertEq(market.declineJobs(refs(batch(none, foreign, closed, running_, good)), ""), 1);
        assertStatus(good, JobStatus.Closed);
        assertStatus(running_, JobStatus.Running);
    }

    function test_OfEnds() public {
        start(good);
        uint64[] memory expected = new uint64[](5);
        vm.prank(operator);
        vm.assertEq(market.endJobs(refs(batch(none, foreign, closed, open_, good)), 0, expected, ""), 1);
        assertStatus(good, JobStatus.Closed);
        start(late);
        vm.prank(operator);
        vm.assertEq(market.endJobs(refs(batch(none, late, closed, good, running_)), uint64(T0 + 1500), expected, ""), 1);
        vm.assertEq(market.job(running_).end, T0 + 1500);
        vm.assertEq(market.job(late).end, T0 + 1000);
    }

    function test_OfRefunds() public {
        vm.warp(T0 + START_WINDOW + 1);
        vm.prank(stranger);
        vm.assertEq(market.refund(refs(batch(none, foreign, closed, running_, good))), 1);
        assertStatus(good, JobStatus.Closed);
    }
}
