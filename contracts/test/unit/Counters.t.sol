// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {JobId} from "../../src/types/JobId.sol";
import {Counters} from "../../src/types/Offer.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {vm} from "../support/Vm.sol";

/// @notice What an offer counts of its jobs' ends: each once.
contract CountersTest is MarketTest {
    function assertCounted(uint40 completed, uint48 declined, uint48 notStarted, uint48 byProvider, uint48 byCustomer)
        private
        view
    {
        vm.assertEq(
            abi.encode(market.offer(offerId).counters),
            abi.encode(Counters(completed, declined, notStarted, byProvider, byCustomer))
        );
    }

    function endByCustomer(JobId id) private {
        vm.prank(customer);
        market.endJob(ref(id));
    }

    function test_OrdersThatWereDeclined() public {
        JobId[] memory ids = new JobId[](3);
        (ids[0], ids[1], ids[2]) = (open(1, 3600, "a"), open(1, 3600, "b"), open(1, 3600, "c"));
        start(ids[1]);
        vm.prank(operator);
        market.declineJobs(refs(ids), "");
        assertCounted(0, 2, 0, 0, 0);
    }

    function test_OrdersThatWereLeftLyingAndNotThoseThatWereNotClaimed() public {
        JobId[] memory ids = new JobId[](2);
        (ids[0], ids[1]) = (open(1, 3600, "a"), open(1, 3600, "b"));
        start(ids[1]);
        vm.warp(T0 + 3600 + CLAIM_WINDOW + 1);
        vm.assertEq(market.refund(refs(ids)), 2);
        assertCounted(0, 0, 1, 0, 0);
    }

    function test_EarlyEndsByTheProviderOnceEach() public {
        (JobId told, JobId cut, JobId full) = (open(1, 3600, "a"), open(1, 3600, "b"), open(1, 3600, "c"));
        start(told);
        start(cut);
        start(full);
        end(told, uint64(T0 + 2000), 0);
        assertCounted(0, 0, 0, 1, 0);
        end(told, uint64(T0 + 1000), 0);
        end(told, 0, 0);
        assertCounted(0, 0, 0, 1, 0);
        vm.warp(T0 + 3599);
        end(cut, 0, 0);
        assertCounted(0, 0, 0, 2, 0);
        vm.warp(T0 + 3600);
        end(full, 0, 0);
        assertCounted(0, 0, 0, 2, 0);
    }

    function test_EarlyEndsByTheCustomerOnceEach() public {
        JobId id = running();
        vm.warp(T0 + 600);
        endByCustomer(id);
        assertCounted(0, 0, 0, 0, 1);
        end(id, 0, 0);
        assertCounted(0, 0, 0, 0, 1);
        JobId told = open(1, 3600, "told");
        start(told);
        end(told, uint64(block.timestamp + 3000), 0);
        endByCustomer(told);
        assertCounted(0, 0, 0, 1, 1);
    }
}
