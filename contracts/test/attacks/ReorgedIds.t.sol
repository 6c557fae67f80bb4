// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {JobStatus, SkipReason} from "../../src/types/Job.sol";
import {JobId} from "../../src/types/JobId.sol";
import {Voucher} from "../../src/types/Voucher.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {vm} from "../support/Vm.sol";

/// @notice A reorg takes blocks back and puts transactions into another order. What was meant for one order must not hit
/// another that took its place.
contract ReorgedIdsTest is MarketTest {
    function openSpec(address by, bytes memory spec) private returns (JobId) {
        return place(by, orderOf(offerId, by, 2, 3600, PRICE, 0, spec), spec);
    }

    function test_AStartMeantForAnOrderThatVanishedStartsNothingElse() public {
        uint256 fork = vm.snapshotState();
        JobId seen = openSpec(customer, "honest");
        vm.revertToState(fork);
        JobId now_ = openSpec(customer, "another workload");
        vm.assertTrue(seen != now_);

        address[] memory signers = new address[](1);
        signers[0] = attestor;
        expectSkip(seen, SkipReason.NotLive);
        vm.prank(operator);
        vm.assertEq(market.startJobs(one(seen), signers), 0);
        assertStatus(now_, JobStatus.Open);
    }

    function test_AnotherCustomersSameOrderHasAnotherId() public {
        uint256 fork = vm.snapshotState();
        JobId seen = openSpec(customer, "{}");
        vm.revertToState(fork);
        fund(stranger, 1e12);
        vm.assertTrue(openSpec(stranger, "{}") != seen);
    }

    function test_AnotherPriceOrNumberOfGpusIsAnotherId() public {
        uint256 fork = vm.snapshotState();
        JobId seen = openSpec(customer, "{}");
        vm.revertToState(fork);
        vm.prank(operator);
        market.updateOffer(offerId, PRICE - 1, AVAILABLE, type(uint64).max);
        vm.assertTrue(openSpec(customer, "{}") != seen);
        vm.revertToState(fork);
        vm.prank(customer);
        vm.assertTrue(market.openJob(orderOf(offerId, customer, 1, 3600, PRICE, 0, "{}"), "{}") != seen);
    }

    /// @dev Ids don't count anything, so the order of blocks doesn't change them.
    function test_OrdersMinedTheOtherWayRoundKeepTheirIds() public {
        uint256 fork = vm.snapshotState();
        JobId a = openSpec(customer, "a");
        JobId b = openSpec(customer, "b");
        vm.revertToState(fork);
        vm.assertTrue(openSpec(customer, "b") == b);
        vm.assertTrue(openSpec(customer, "a") == a);
    }

    /// @dev A voucher of the old chain serves on the new one, where the same job was started again.
    function test_AVoucherOutlivesAReorgOfTheStart() public {
        JobId id = open(2, 3600, 0);
        uint256 fork = vm.snapshotState();
        start(id);
        vm.warp(T0 + 100);
        Voucher memory voucher = sign(id, 200);
        vm.revertToState(fork);
        vm.warp(T0 + 20);
        vm.assertEq(market.claim(offerId, one(voucher), noProofs()), 0);
        start(id);
        vm.warp(T0 + 100);
        vm.assertEq(market.claim(offerId, one(voucher), noProofs()), 1);
        vm.assertEq(market.job(id).used, 160);
    }
}
