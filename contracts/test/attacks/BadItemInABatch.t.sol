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
        market.declineJobs(one(closed), "");
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
            SkipReason.WrongOffer,
            SkipReason.NotLive,
            SkipReason.NotStarted,
            SkipReason.BadSignature,
            SkipReason.Stale,
            SkipReason.Stale
        ];
        for (uint256 i = 0; i < 7; ++i) {
            expectSkip(vouchers[i < 6 ? i : 7].jobId, why[i]);
        }
        vm.prank(stranger);
        vm.assertEq(market.claim(offerId, vouchers), 1);
        vm.assertEq(market.job(good).used, 600);
    }

    /// @dev A count of more bits than the ABI names is what its signature says it is.
    function test_OfAClaimACountTooWideForItsType() public {
        vm.warp(T0 + 600);
        start(good);
        vm.warp(T0 + 1200);
        Voucher[] memory vouchers = new Voucher[](2);
        vouchers[0] = sign(running_, 100);
        vouchers[1] = sign(good, 100);
        bytes memory data = abi.encodeCall(IComputeMarket.claim, (offerId, vouchers));
        // Selector, offer, offset and length; then the first voucher's job; then its count.
        assembly ("memory-safe") {
            mstore(add(data, add(0x20, add(4, 0x80))), shl(64, 1))
        }
        (bool ok, bytes memory answer) = address(market).call(data);
        vm.assertTrue(ok);
        vm.assertEq(abi.decode(answer, (uint256)), 1);
        vm.assertEq(market.job(good).used, 100);
        vm.assertEq(market.job(running_).used, 0);
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
        vm.assertEq(market.declineJobs(batch(none, foreign, closed, running_, good), ""), 1);
        assertStatus(good, JobStatus.Closed);
        assertStatus(running_, JobStatus.Running);
    }

    function test_OfEnds() public {
        start(good);
        uint64[] memory expected = new uint64[](5);
        vm.prank(operator);
        vm.assertEq(market.endJobs(batch(none, foreign, closed, open_, good), 0, expected, ""), 1);
        assertStatus(good, JobStatus.Closed);
        start(late);
        vm.prank(operator);
        vm.assertEq(market.endJobs(batch(none, late, closed, good, running_), uint64(T0 + 1500), expected, ""), 1);
        vm.assertEq(market.job(running_).end, T0 + 1500);
        vm.assertEq(market.job(late).end, T0 + 1000);
    }

    function test_OfRefunds() public {
        vm.warp(T0 + START_WINDOW + 1);
        vm.prank(stranger);
        vm.assertEq(market.refund(batch(none, foreign, closed, running_, good)), 1);
        assertStatus(good, JobStatus.Closed);
    }
}
