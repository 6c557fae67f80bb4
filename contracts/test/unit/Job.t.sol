// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Job, JobStatus} from "../../src/types/Job.sol";
import {JobId} from "../../src/types/JobId.sol";
import {OfferId} from "../../src/types/OfferId.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {vm} from "../support/Vm.sol";

/// @notice What the view tells about a job at each point of its life.
contract JobTest is MarketTest {
    function test_AJobThatWasNeverOrderedIsNone() public view {
        Job memory job = market.job(JobId.wrap(bytes32(OfferId.unwrap(offerId))));
        vm.assertEq(uint256(job.status), uint256(JobStatus.None));
        vm.assertEq(job.deposit + job.paid + job.refundableFrom, 0);
    }

    function test_StatusEndAndRefundFollowTheTime() public {
        JobId id = open(2, 3600, 0);
        assertStatus(id, JobStatus.Open);
        vm.assertEq(market.job(id).refundableFrom, T0 + START_WINDOW + 1);
        vm.warp(T0 + 10);
        start(id);
        assertStatus(id, JobStatus.Running);
        vm.assertEq(market.job(id).end, T0 + 3610);
        vm.warp(T0 + 3609);
        assertStatus(id, JobStatus.Running);
        vm.warp(T0 + 3610);
        assertStatus(id, JobStatus.Ended);
        vm.warp(T0 + 3610 + CLAIM_WINDOW + 1);
        market.refund(refs(one(id)));
        assertStatus(id, JobStatus.Closed);
    }

    function test_AClosedJobTellsWhatWasPaid() public {
        JobId id = running();
        vm.warp(T0 + 1000);
        claim(id, 1800);
        end(id, 0, 1800);
        Job memory job = market.job(id);
        vm.assertEq(job.paid, 1e6);
        vm.assertEq(job.deposit, 1e6);
        vm.assertEq(job.used, 1800);
        vm.assertEq(job.started, T0);
        vm.assertEq(uint256(job.duration) + job.end + job.refundableFrom, 0);
        vm.assertEq(job.startDeadline, 0);
        vm.assertEq(market.customerOf(ref(id)), customer);
        vm.assertEq(job.attestor, tailOf(attestor));
    }

    function test_AnAnnouncedEndShows() public {
        JobId id = running();
        vm.assertFalse(market.job(id).ending);
        end(id, uint64(T0 + 900), 0);
        vm.assertTrue(market.job(id).ending);
        vm.assertEq(market.job(id).duration, 900);
        vm.assertEq(market.job(id).deposit, 1e6);
        // Also of a job that is closed by then: how it came to its end.
        end(id, 0, 0);
        assertStatus(id, JobStatus.Closed);
        vm.assertTrue(market.job(id).ending);
    }
}
