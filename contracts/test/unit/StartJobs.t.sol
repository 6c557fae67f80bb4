// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarketErrors} from "../../src/interfaces/IComputeMarketErrors.sol";
import {IComputeMarketEvents} from "../../src/interfaces/IComputeMarketEvents.sol";
import {Job, JobStatus, SkipReason} from "../../src/types/Job.sol";
import {JobId} from "../../src/types/JobId.sol";
import {OfferId} from "../../src/types/OfferId.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {vm} from "../support/Vm.sol";

contract StartJobsTest is MarketTest {
    /// @dev Of an address the job keeps the last 12 bytes, and the log all of it.
    function test_AnAttestorIsComparedByTheLastTwelveBytesOfItsAddress() public {
        JobId id = running();
        vm.assertTrue(market.isAttestor(id, attestor));
        vm.assertTrue(market.isAttestor(id, address(uint160(attestor) ^ uint160(1 << 96))));
        vm.assertFalse(market.isAttestor(id, address(uint160(attestor) ^ uint160(1 << 95))));
        JobId waiting = open(1, 3600, "waiting");
        vm.assertFalse(market.isAttestor(waiting, address(0)));
        address[] memory signers = new address[](1);
        signers[0] = address(uint160(0xabcd) << 96);
        expectSkip(waiting, SkipReason.ZeroAttestor);
        vm.prank(operator);
        vm.assertEq(market.startJobs(one(waiting), signers), 0);
    }

    function skipped(JobId id, address signer, SkipReason why) private {
        address[] memory signers = new address[](1);
        signers[0] = signer;
        expectSkip(id, why);
        vm.prank(operator);
        vm.assertEq(market.startJobs(one(id), signers), 0);
    }

    function test_AStartBeginsThePaidTime() public {
        JobId id = open(2, 3600, 0);
        vm.warp(T0 + 10);
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.JobStarted(id, attestor);
        start(id);
        Job memory job = market.job(id);
        assertStatus(id, JobStatus.Running);
        vm.assertEq(job.attestor, tailOf(attestor));
        vm.assertEq(job.started, T0 + 10);
        vm.assertEq(job.end, T0 + 3610);
        vm.assertEq(job.refundableFrom, T0 + 3610 + CLAIM_WINDOW + 1);
    }

    function test_AStartAtTheDeadlineCountsAndOneAfterDoesNot() public {
        JobId last = open(1, 3600, "a");
        JobId late = open(1, 3600, "b");
        vm.warp(T0 + START_WINDOW);
        start(last);
        vm.warp(T0 + START_WINDOW + 1);
        skipped(late, attestor, SkipReason.DeadlinePassed);
        assertStatus(late, JobStatus.Open);
    }

    function test_ARotationKeepsTheStartAndTheCount() public {
        JobId id = running();
        vm.warp(T0 + 100);
        claim(id, 150);
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.AttestorRotated(id, stranger);
        startAs(id, stranger);
        Job memory job = market.job(id);
        vm.assertEq(job.attestor, tailOf(stranger));
        vm.assertEq(job.started, T0);
        vm.assertEq(job.used, 150);
        vm.assertEq(job.duration, 3600);
    }

    function test_ABadItemDoesNotStopTheBatch() public {
        JobId none = JobId.wrap(bytes32(OfferId.unwrap(offerId)));
        JobId good = open(1, 3600, "good");
        JobId foreign = JobId.wrap("foreign");
        JobId alsoGood = open(1, 3600, "also good");
        JobId[] memory ids = new JobId[](4);
        (ids[0], ids[1], ids[2], ids[3]) = (none, good, foreign, alsoGood);
        address[] memory signers = new address[](4);
        for (uint256 i = 0; i < 4; ++i) {
            signers[i] = attestor;
        }
        expectSkip(none, SkipReason.NotLive);
        expectSkip(foreign, SkipReason.NotOperator);
        vm.prank(operator);
        vm.assertEq(market.startJobs(ids, signers), 2);
        assertStatus(good, JobStatus.Running);
        assertStatus(alsoGood, JobStatus.Running);
    }

    function test_NobodyCantAttest() public {
        skipped(open(1, 3600, 0), address(0), SkipReason.ZeroAttestor);
    }

    function test_AJobTakesAnotherAttestorUntilItsClaimWindowEnds() public {
        JobId id = running();
        vm.warp(T0 + 3600);
        startAs(id, stranger);
        vm.warp(T0 + 3600 + CLAIM_WINDOW);
        startAs(id, owner);
        vm.warp(T0 + 3600 + CLAIM_WINDOW + 1);
        skipped(id, stranger, SkipReason.AlreadyEnded);
        vm.assertEq(market.job(id).attestor, tailOf(owner));
    }

    function test_AClosedJobTakesNoNewAttestor() public {
        JobId id = running();
        end(id, 0, 0);
        skipped(id, stranger, SkipReason.NotLive);
    }

    function test_AStrangerStartsNothing() public {
        JobId id = open(1, 3600, 0);
        address[] memory signers = new address[](1);
        signers[0] = stranger;
        expectSkip(id, SkipReason.NotOperator);
        vm.prank(stranger);
        market.startJobs(one(id), signers);
        assertStatus(id, JobStatus.Open);
    }

    function test_JobsAndAttestorsComeInPairs() public {
        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.LengthMismatch.selector, 1, 2));
        market.startJobs(new JobId[](1), new address[](2));
        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.LengthMismatch.selector, 2, 1));
        market.startJobs(new JobId[](2), new address[](1));
    }
}
