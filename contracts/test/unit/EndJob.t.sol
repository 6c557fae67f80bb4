// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarketErrors} from "../../src/interfaces/IComputeMarketErrors.sol";
import {IComputeMarketEvents} from "../../src/interfaces/IComputeMarketEvents.sol";
import {JobStatus} from "../../src/types/Job.sol";
import {JobId} from "../../src/types/JobId.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {vm} from "../support/Vm.sol";

contract EndJobTest is MarketTest {
    function endByCustomer(JobId id) private returns (uint64) {
        vm.prank(customer);
        return market.endJob(ref(id));
    }

    function refused(JobId id, bytes memory why) private {
        vm.expectRevert(why);
        vm.prank(customer);
        market.endJob(ref(id));
    }

    function test_TheJobEndsAfterANoticeAndTheTailIsCredited() public {
        JobId id = running();
        vm.warp(T0 + 840);
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.JobEndAnnounced(id, offerId, customer, customer, uint64(T0 + 900), 3e6, "");
        vm.assertEq(endByCustomer(id), T0 + 900);
        vm.assertEq(creditOf(customer), 3e6);
        vm.assertEq(market.job(id).duration, 900);
        assertBooks(id);
    }

    function test_TheShortestDurationIsPaidFor() public {
        JobId id = running();
        vm.warp(T0 + 1);
        vm.assertEq(endByCustomer(id), T0 + MIN_DURATION);
    }

    function test_ClaimsGoOnUntilTheWindowEndsThenTheRestIsRefunded() public {
        JobId id = running();
        vm.warp(T0 + 840);
        endByCustomer(id);
        vm.warp(T0 + 900 + CLAIM_WINDOW);
        claim(id, 1000);
        vm.assertEq(market.refund(refs(one(id))), 0);
        vm.warp(T0 + 900 + CLAIM_WINDOW + 1);
        vm.assertEq(market.refund(refs(one(id))), 1);
        vm.assertEq(creditOf(customer) + creditOf(provider) + feesOf(sink), 4e6);
    }

    function test_UseClaimedBeforeTheNoticeFitsInWhatIsKept() public {
        JobId id = running();
        vm.warp(T0 + 1000);
        claim(id, 2000);
        endByCustomer(id);
        vm.warp(T0 + 4000);
        claim(id, 7200);
        vm.assertEq(market.job(id).used, 2 * 1060);
        assertBooks(id);
    }

    function test_AJobThatEndsAnywayCantBeEnded() public {
        JobId id = running();
        vm.warp(T0 + 3599);
        refused(id, abi.encodeWithSelector(IComputeMarketErrors.EndNotEarlier.selector, id, T0 + 3659, T0 + 3600));
        vm.warp(T0 + 3540);
        refused(id, abi.encodeWithSelector(IComputeMarketErrors.EndNotEarlier.selector, id, T0 + 3600, T0 + 3600));
        vm.warp(T0 + 3539);
        vm.assertEq(endByCustomer(id), T0 + 3599);
        refused(id, abi.encodeWithSelector(IComputeMarketErrors.EndNotEarlier.selector, id, T0 + 3599, T0 + 3599));
    }

    /// @dev The shortest duration counts where it is later than the notice, and the notice where it is later.
    function test_TheLaterOfNoticeAndShortestDurationCounts() public {
        JobId id = running();
        vm.warp(T0 + MIN_DURATION - 60);
        vm.assertEq(endByCustomer(id), T0 + MIN_DURATION);
        vm.warp(T0);
        id = open(2, 3600, "another");
        start(id);
        vm.warp(T0 + MIN_DURATION - 59);
        vm.assertEq(endByCustomer(id), T0 + MIN_DURATION + 1);
    }

    function test_AnOrderThatWasNotStartedCantBeEnded() public {
        JobId id = open(1, 3600, 0);
        refused(id, abi.encodeWithSelector(IComputeMarketErrors.WrongStatus.selector, id, JobStatus.Open));
    }

    function test_AnEndedJobCantBeEnded() public {
        JobId id = running();
        vm.warp(T0 + 3600);
        refused(id, abi.encodeWithSelector(IComputeMarketErrors.WrongStatus.selector, id, JobStatus.Ended));
        end(id, 0, 0);
        refused(id, abi.encodeWithSelector(IComputeMarketErrors.WrongStatus.selector, id, JobStatus.Closed));
    }

    function test_OnlyTheCustomerEndsIt() public {
        JobId id = running();
        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.NotCustomer.selector, id, operator));
        vm.prank(operator);
        market.endJob(ref(id));
    }
}
