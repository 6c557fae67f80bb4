// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {JobId} from "../../src/types/JobId.sol";
import {Counters} from "../../src/types/Offer.sol";
import {LastVoucher} from "../../src/types/Voucher.sol";
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

    function settle(JobId id, uint64 gpuSeconds) private {
        LastVoucher[] memory vouchers = one(last(sign(id, gpuSeconds), ref(id)));
        vm.prank(operator);
        vm.assertEq(market.settle(offerId, vouchers, noProofs()), 1);
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

    function test_OrdersThatWereLeftLyingAndJobsThatNobodyClaimed() public {
        JobId[] memory ids = new JobId[](2);
        (ids[0], ids[1]) = (open(1, 3600, "a"), open(1, 3600, "b"));
        start(ids[1]);
        vm.warp(T0 + 3600 + CLAIM_WINDOW + 1);
        vm.assertEq(market.refund(refs(ids)), 2);
        assertCounted(1, 0, 1, 0, 0);
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
        assertCounted(1, 0, 0, 2, 0);
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

    /// @dev Whoever ended it, and however it is closed after that.
    function test_AJobThatWasEndedEarlyIsNotCompletedToo() public {
        JobId[] memory ids = new JobId[](3);
        for (uint256 i = 0; i < 3; ++i) {
            ids[i] = open(1, 3600, bytes32(i));
            start(ids[i]);
        }
        vm.warp(T0 + 600);
        endByCustomer(ids[0]);
        endByCustomer(ids[1]);
        end(ids[2], uint64(T0 + 700), 0);
        vm.warp(T0 + 800);
        settle(ids[0], 600);
        end(ids[1], 0, 0);
        vm.warp(T0 + 800 + CLAIM_WINDOW);
        vm.assertEq(market.refund(refs(one(ids[2]))), 1);
        assertCounted(0, 0, 0, 1, 2);
    }

    /// @dev By the last claim, by an end, or by a refund.
    function test_JobsThatRanToTheirEndHoweverTheyAreClosed() public {
        JobId[] memory ids = new JobId[](3);
        for (uint256 i = 0; i < 3; ++i) {
            ids[i] = open(1, 3600, bytes32(i));
            start(ids[i]);
        }
        vm.warp(T0 + 3600);
        settle(ids[0], 600);
        assertCounted(1, 0, 0, 0, 0);
        end(ids[1], 0, 0);
        assertCounted(2, 0, 0, 0, 0);
        vm.warp(T0 + 3600 + CLAIM_WINDOW + 1);
        vm.assertEq(market.refund(refs(one(ids[2]))), 1);
        assertCounted(3, 0, 0, 0, 0);
    }
}
