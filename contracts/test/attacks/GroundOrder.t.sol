// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarketErrors as Errors} from "../../src/interfaces/IComputeMarketErrors.sol";
import {JobStatus, SkipReason} from "../../src/types/Job.sol";
import {JobId} from "../../src/types/JobId.sol";
import {JobRef} from "../../src/types/Order.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {vm} from "../support/Vm.sol";

/// @notice Whose a job is, is told by whoever closes it. A lie closes nothing and credits nobody; the other items of the batch
/// are done.
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
}
