// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {JobStatus, SkipReason} from "../../src/types/Job.sol";
import {JobId} from "../../src/types/JobId.sol";
import {Voucher} from "../../src/types/Voucher.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {vm} from "../support/Vm.sol";

/// @notice The customer brings an old voucher, or any at a bad moment, so that the newest one pays less or nothing.
contract OldVoucherTest is MarketTest {
    function test_ClaimedAfterTheEndAnOldOneDoesntKeepTheNewestOut() public {
        JobId id = running();
        vm.warp(T0 + 3600);
        Voucher memory old = sign(id, 100);
        Voucher memory newest = sign(id, 7200);
        vm.prank(customer);
        vm.assertEq(market.claim(offerId, one(old), noProofs()), 1);
        assertStatus(id, JobStatus.Ended);
        vm.prank(customer);
        vm.assertEq(market.refund(refs(one(id))), 0);

        vm.warp(T0 + 3600 + CLAIM_WINDOW);
        vm.assertEq(market.claim(offerId, one(newest), noProofs()), 1);
        vm.assertEq(market.job(id).paid, 4e6);
    }

    function test_ClaimedAfterTheNewestItChangesNothing() public {
        JobId id = running();
        vm.warp(T0 + 3600);
        Voucher memory old = sign(id, 100);
        claim(id, 7000);
        expectSkip(id, SkipReason.Stale);
        vm.prank(customer);
        vm.assertEq(market.claim(offerId, one(old), noProofs()), 0);
        vm.assertEq(market.job(id).used, 7000);
    }

    /// @dev The provider's end waits for the claim that it expects, whatever was claimed in front of it.
    function test_ClaimedInFrontOfTheProvidersEndItDoesntLetTheEndLoseTheRest() public {
        JobId id = running();
        vm.warp(T0 + 1000);
        Voucher memory old = sign(id, 100);
        vm.prank(customer);
        market.claim(offerId, one(old), noProofs());
        vm.assertEq(end(id, 0, 2000), 0);
        claim(id, 2000);
        vm.assertEq(end(id, 0, 2000), 1);
        vm.assertEq(market.job(id).paid, 1_111_111);
    }

    /// @dev A customer that ends its job between the program's end and the claim loses the provider nothing.
    function test_AnEndByTheCustomerKeepsTheClaimOpen() public {
        JobId id = running();
        vm.warp(T0 + 1000);
        Voucher memory newest = sign(id, 2000);
        vm.prank(customer);
        market.endJob(ref(id));
        vm.assertEq(market.claim(offerId, one(newest), noProofs()), 1);
        vm.assertEq(market.job(id).used, 2000);
    }
}
