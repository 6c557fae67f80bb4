// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarket} from "../../src/interfaces/IComputeMarket.sol";
import {IComputeMarketErrors} from "../../src/interfaces/IComputeMarketErrors.sol";
import {IComputeMarketEvents} from "../../src/interfaces/IComputeMarketEvents.sol";
import {JobStatus, SkipReason} from "../../src/types/Job.sol";
import {JobId} from "../../src/types/JobId.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {vm} from "../support/Vm.sol";

contract EndJobsTest is MarketTest {
    function skipped(JobId id, uint64 endAt, uint64 expectUsed, SkipReason why) private {
        expectSkip(id, why);
        vm.assertEq(end(id, endAt, expectUsed), 0);
    }

    function test_AtOnceEverythingNotClaimedGoesBack() public {
        JobId id = running();
        vm.warp(T0 + 1000);
        claim(id, 1800);
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.JobEnded(id, customer, 1800, 3e6, "done");
        vm.assertEq(end(id, 0, 1800), 1);
        vm.assertEq(creditOf(customer), 3e6);
        vm.assertEq(market.job(id).used, 1800);
        vm.assertEq(market.job(id).deposit, 1e6);
        vm.assertEq(market.job(id).refundableFrom, 0);
        assertStatus(id, JobStatus.Closed);
        assertBooks(id);
    }

    /// @dev What is logged is what was claimed, also where the caller expects less.
    function test_MoreThanExpectedMayHaveBeenClaimed() public {
        JobId id = running();
        vm.warp(T0 + 1000);
        claim(id, 1800);
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.JobEnded(id, customer, 1800, 3e6, "done");
        vm.assertEq(end(id, 0, 1799), 1);
    }

    function test_AnEndWaitsForTheClaimItExpects() public {
        JobId id = running();
        vm.warp(T0 + 1000);
        claim(id, 1799);
        skipped(id, 0, 1800, SkipReason.UnclaimedUse);
        assertStatus(id, JobStatus.Running);
        skipped(id, uint64(T0 + 2000), 1800, SkipReason.UnclaimedUse);
        vm.assertEq(market.job(id).duration, 3600);
    }

    function test_AnEndedJobCanBeClosedBeforeItsWindowEnds() public {
        JobId id = running();
        vm.warp(T0 + 3700);
        claim(id, 3600);
        vm.assertEq(end(id, 0, 3600), 1);
        vm.assertEq(creditOf(customer), 2e6);
    }

    function test_ANoticeGivesTheTailBackAndClaimsGoOn() public {
        JobId id = running();
        vm.warp(T0 + 600);
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.JobEndAnnounced(id, offerId, customer, operator, uint64(T0 + 900), 3e6, "done");
        vm.assertEq(end(id, uint64(T0 + 900), 0), 1);
        vm.assertEq(creditOf(customer), 3e6);
        vm.assertEq(market.job(id).end, T0 + 900);
        vm.assertTrue(market.job(id).ending);
        vm.warp(T0 + 1000);
        assertStatus(id, JobStatus.Ended);
        claim(id, 7200);
        vm.assertEq(market.job(id).used, 1800);
        assertBooks(id);
    }

    function test_ANoticeCanBeMovedForwardOnly() public {
        JobId id = running();
        end(id, uint64(T0 + 900), 0);
        skipped(id, uint64(T0 + 900), 0, SkipReason.EndNotEarlier);
        skipped(id, uint64(T0 + 901), 0, SkipReason.EndNotEarlier);
        vm.assertEq(end(id, uint64(T0 + 899), 0), 1);
    }

    function test_ANoticeLiesInTheFuture() public {
        JobId id = running();
        skipped(id, uint64(T0), 0, SkipReason.EndPassed);
        skipped(id, 1, 0, SkipReason.EndPassed);
        vm.assertEq(end(id, uint64(T0 + 1), 0), 1);
        vm.assertEq(market.job(id).end, T0 + 1);
    }

    /// @dev The claim stands, whenever the notice is mined.
    function test_ANoticeThatIsMinedLateTakesNoClaimWithIt() public {
        JobId id = running();
        vm.warp(T0 + 900);
        bytes[] memory calls = new bytes[](2);
        calls[0] = abi.encodeCall(market.claim, (offerId, one(sign(id, 1800)), noProofs()));
        calls[1] = abi.encodeCall(market.endJobs, (one(ref(id)), uint64(T0 + 899), new uint64[](1), "reclaimed"));
        multicall(operator, calls);
        vm.assertEq(market.job(id).used, 1800);
        vm.assertEq(market.job(id).end, T0 + 3600);
        vm.assertFalse(market.job(id).ending);
        vm.assertEq(creditOf(provider) + feesOf(sink), 1e6);
    }

    /// @dev Counts and times are compared as they are written, not as they would be stored.
    function test_WideNumbersAreNotCut() public {
        JobId id = running();
        vm.warp(T0 + 100);
        claim(id, 100);
        skipped(id, 0, (1 << 32) + 100, SkipReason.UnclaimedUse);
        skipped(id, 0, (1 << 40) + 100, SkipReason.UnclaimedUse);
        skipped(id, (1 << 32) + uint64(T0 + 200), 100, SkipReason.EndNotEarlier);
        skipped(id, (1 << 40) + uint64(T0 + 200), 100, SkipReason.EndNotEarlier);
        skipped(id, type(uint64).max, 100, SkipReason.EndNotEarlier);
    }

    function test_AReasonHasALimit() public {
        JobId id = running();
        string memory most = string(new bytes(256));
        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.TextTooLong.selector, 257, 256));
        vm.prank(operator);
        market.endJobs(refs(one(id)), 0, new uint64[](1), string(new bytes(257)));
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.JobEnded(id, customer, 0, 4e6, most);
        vm.prank(operator);
        vm.assertEq(market.endJobs(refs(one(id)), 0, new uint64[](1), most), 1);
        vm.assertEq(market.MAX_REASON(), 256);
    }

    function test_AJobThatWasNotStartedIsDeclinedInstead() public {
        skipped(open(1, 3600, 0), 0, 0, SkipReason.NotStarted);
    }

    function test_AClosedJobCantBeEndedAgain() public {
        JobId id = running();
        end(id, 0, 0);
        skipped(id, 0, 0, SkipReason.NotLive);
        vm.assertEq(creditOf(customer), 4e6);
    }

    function test_AStrangerEndsNothing() public {
        JobId id = running();
        expectSkip(id, SkipReason.NotOperator);
        vm.prank(stranger);
        market.endJobs(refs(one(id)), 0, new uint64[](1), "");
        assertStatus(id, JobStatus.Running);
    }

    function test_ClaimAndEndInOneTransaction() public {
        JobId id = running();
        vm.warp(T0 + 900);
        bytes[] memory calls = new bytes[](2);
        uint64[] memory expected = new uint64[](1);
        expected[0] = 1800;
        calls[0] = abi.encodeCall(market.claim, (offerId, one(sign(id, 1800)), noProofs()));
        calls[1] = abi.encodeCall(market.endJobs, (one(ref(id)), 0, expected, "done"));
        multicall(operator, calls);
        vm.assertEq(creditOf(customer), 3e6);
        vm.assertEq(creditOf(provider) + feesOf(sink), 1e6);
    }

    function test_JobsAndExpectationsComeInPairs() public {
        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.LengthMismatch.selector, 2, 1));
        market.endJobs(refs(new JobId[](2)), 0, new uint64[](1), "");
        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.LengthMismatch.selector, 1, 2));
        market.endJobs(refs(new JobId[](1)), 0, new uint64[](2), "");
    }
}
