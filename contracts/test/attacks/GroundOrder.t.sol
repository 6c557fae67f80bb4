// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarketErrors as Errors} from "../../src/interfaces/IComputeMarketErrors.sol";
import {JobStatus, SkipReason} from "../../src/types/Job.sol";
import {JobId} from "../../src/types/JobId.sol";
import {JobRef} from "../../src/types/Order.sol";
import {LastVoucher} from "../../src/types/Voucher.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {vm} from "../support/Vm.sol";

/// @notice Whose a job is, is told by whoever closes it. A lie closes nothing and credits nobody; the other items of the batch
/// are done. Nor does an order that was ground to have the id of another one.
contract GroundOrderTest is MarketTest {
    JobRef[] private lies;
    JobId private id;

    /// @dev The order of the job, of another one, and no order, each told to be a thief's or the customer's.
    function lieAbout(JobId job) private {
        id = job;
        JobId other = open(2, 3600, "other");
        delete lies;
        lies.push(JobRef(id, stranger, ref(id).orderHash));
        lies.push(JobRef(id, customer, ref(other).orderHash));
        lies.push(JobRef(id, address(0), ref(id).orderHash));
        lies.push(JobRef(id, stranger, 0));
        lies.push(JobRef(id, address(0), 0));
        lies.push(ref(id));
    }

    function test_OfADecline() public {
        lieAbout(open(1, 3600, "job"));
        for (uint256 i = 0; i < 5; ++i) {
            expectSkip(id, SkipReason.WrongOrder);
        }
        vm.prank(operator);
        vm.assertEq(market.declineJobs(lies, ""), 1);
        vm.assertEq(creditOf(customer), 2e6);
        vm.assertEq(creditOf(stranger) + creditOf(address(0)), 0);
    }

    function test_OfAnEndAtOnceOrWithNotice() public {
        lieAbout(running());
        for (uint256 i = 0; i < 5; ++i) {
            expectSkip(id, SkipReason.WrongOrder);
        }
        vm.prank(operator);
        vm.assertEq(market.endJobs(lies, uint64(T0 + 1800), new uint64[](6), ""), 1);
        vm.assertEq(creditOf(customer), 2e6);
        for (uint256 i = 0; i < 5; ++i) {
            expectSkip(id, SkipReason.WrongOrder);
        }
        vm.prank(operator);
        vm.assertEq(market.endJobs(lies, 0, new uint64[](6), ""), 1);
        vm.assertEq(creditOf(customer), 4e6);
        vm.assertEq(creditOf(stranger) + creditOf(address(0)), 0);
    }

    function test_OfARefund() public {
        lieAbout(running());
        vm.warp(T0 + 3600 + CLAIM_WINDOW + 1);
        for (uint256 i = 0; i < 5; ++i) {
            expectSkip(id, SkipReason.WrongOrder);
        }
        vm.prank(stranger);
        vm.assertEq(market.refund(lies), 1);
        vm.assertEq(creditOf(customer), 4e6);
        vm.assertEq(creditOf(stranger) + creditOf(address(0)), 0);
    }

    function test_OfAnEndByTheCustomer() public {
        lieAbout(running());
        for (uint256 i = 0; i < 5; ++i) {
            address by = lies[i].customer;
            vm.expectRevert(abi.encodeWithSelector(Errors.NotCustomer.selector, id, by));
            vm.prank(by);
            market.endJob(lies[i]);
        }
        vm.prank(customer);
        market.endJob(lies[5]);
        assertStatus(id, JobStatus.Running);
    }

    // ------------------------------------------------------------------------------------------------ ground ids

    /// @dev Where the state of a job lies.
    function placeOf(JobId job) private view returns (bytes32 place) {
        for (uint256 slot = 0; slot < 24; ++slot) {
            place = keccak256(abi.encode(JobId.unwrap(job), slot));
            if (vm.load(address(market), place) != 0) return place;
        }
        revert("no such job");
    }

    /// @dev As if another order had been placed whose hash has the same 95 bits, which are all that the id has of it, so
    /// that the customer's order, drafted by a thief, is that of a job which isn't the customer's. It differs in one bit of
    /// the tag.
    function grind(JobId job, uint256 bit) private {
        bytes32 place = placeOf(job);
        vm.store(address(market), place, vm.load(address(market), place) ^ bytes32(1 << (96 + bit)));
    }

    function wrong(JobId job) private {
        vm.assertEq(market.customerOf(ref(job)), address(0));
        expectSkip(job, SkipReason.WrongOrder);
    }

    function test_AnOrderThatSharesTheIdOfAnotherOneIsNotThatOfItsJob() public {
        JobId job = open(2, 3600, "job");
        uint256 fork = vm.snapshotState();
        for (uint256 bit = 0; bit < 64; ++bit) {
            grind(job, bit);
            wrong(job);
            vm.prank(operator);
            vm.assertEq(market.declineJobs(refs(one(job)), ""), 0);
            vm.revertToState(fork);
            fork = vm.snapshotState();
        }
        vm.assertEq(market.customerOf(ref(job)), customer);
    }

    function test_AnOrderThatSharesTheIdOfAnotherOneEndsAndClosesNothing() public {
        JobId job = running();
        grind(job, 17);
        vm.expectRevert(abi.encodeWithSelector(Errors.NotCustomer.selector, job, customer));
        vm.prank(customer);
        market.endJob(ref(job));
        wrong(job);
        vm.assertEq(end(job, uint64(T0 + 1800), 0), 0);
        wrong(job);
        vm.assertEq(end(job, 0, 0), 0);
        vm.warp(T0 + 1800);
        LastVoucher[] memory vouchers = one(last(sign(job, 100), ref(job)));
        wrong(job);
        vm.prank(operator);
        vm.assertEq(market.settle(offerId, vouchers, noProofs()), 0);
        vm.warp(T0 + 3600 + CLAIM_WINDOW + 1);
        wrong(job);
        vm.assertEq(market.refund(refs(one(job))), 0);
        vm.assertEq(creditOf(customer), 0);
    }

    /// @dev The tag is there from the order on, and whatever is written of a job leaves it.
    function test_TheTagOfAnOrderLastsThroughAllThatHappensToItsJob() public {
        JobId job = open(2, 3600, "job");
        bytes8 tag = market.job(job).orderTag;
        vm.assertTrue(tag != 0);
        vm.prank(customer);
        market.topUp(job, 60);
        start(job);
        vm.warp(T0 + 600);
        claim(job, 500);
        startAs(job, stranger);
        end(job, uint64(T0 + 1800), 0);
        vm.assertEq(market.job(job).orderTag, tag);
        end(job, 0, 0);
        assertStatus(job, JobStatus.Closed);
        vm.assertEq(market.job(job).orderTag, tag);
    }
}
