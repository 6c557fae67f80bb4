// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarketErrors} from "../../src/interfaces/IComputeMarketErrors.sol";
import {IComputeMarketEvents} from "../../src/interfaces/IComputeMarketEvents.sol";
import {JobStatus} from "../../src/types/Job.sol";
import {JobId} from "../../src/types/JobId.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {vm} from "../support/Vm.sol";

contract TopUpTest is MarketTest {
    function topUp(JobId id, uint32 extra) private {
        vm.prank(customer);
        market.topUp(id, extra);
    }

    function refused(JobId id, uint32 extra, bytes memory why) private {
        vm.expectRevert(why);
        vm.prank(customer);
        market.topUp(id, extra);
    }

    function test_MoreTimeIsPaidForAtTheLockedPrice() public {
        JobId id = running();
        vm.prank(operator);
        market.updateOffer(offerId, PRICE * 10, 0, uint64(T0));
        vm.warp(T0 + 3599);
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.JobToppedUp(id, offerId, customer, 5400, 6e6);
        topUp(id, 1800);
        vm.assertEq(token.balanceOf(address(market)), 6e6);
        vm.assertEq(market.job(id).end, T0 + 5400);
        vm.assertEq(market.job(id).deposit, 6e6);
    }

    /// @dev It would cost its sender gas alone, and fill everybody's logs.
    function test_NothingIsNoTopUp() public {
        JobId id = running();
        refused(id, 0, abi.encodeWithSelector(IComputeMarketErrors.ZeroExtra.selector, id));
        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.ZeroExtra.selector, id));
        market.topUpAs(id, 0);
    }

    function test_ManySmallTopUpsCostWhatOneOrderCosts() public {
        JobId id = open(1, 121, 0);
        for (uint256 i = 0; i < 7; ++i) {
            topUp(id, 1);
        }
        vm.assertEq(token.balanceOf(address(market)), market.job(id).deposit);
        vm.assertEq(market.job(id).deposit, uint256(71_112));
    }

    function test_CreditPaysFirstThenTheToken() public {
        JobId id = running();
        JobId declined = open(1, 3600, "declined");
        vm.prank(operator);
        market.declineJobs(refs(one(declined)), "");
        uint256 before = token.balanceOf(customer);
        topUp(id, 1800);
        vm.assertEq(creditOf(customer), 0);
        vm.assertEq(token.balanceOf(customer), before);
        topUp(id, 1800);
        vm.assertEq(token.balanceOf(customer), before - 2e6);
        assertBooks(id);
    }

    function test_AnOpenOrderCanBeToppedUp() public {
        JobId id = open(1, 3600, 0);
        topUp(id, 3600);
        assertStatus(id, JobStatus.Open);
        vm.assertEq(market.job(id).duration, 7200);
    }

    /// @dev What is paid then could only be refunded.
    function test_AnOrderWhoseStartDeadlinePassedTakesNoMoreMoney() public {
        JobId id = open(1, 3600, 0);
        vm.warp(T0 + START_WINDOW);
        topUp(id, 60);
        vm.assertEq(market.job(id).duration, 3660);
        vm.warp(T0 + START_WINDOW + 1);
        uint256 before = token.balanceOf(customer);
        refused(
            id, 60, abi.encodeWithSelector(IComputeMarketErrors.StartDeadlinePassed.selector, id, T0 + START_WINDOW)
        );
        vm.warp(T0 + 2 * START_WINDOW);
        refused(
            id, 60, abi.encodeWithSelector(IComputeMarketErrors.StartDeadlinePassed.selector, id, T0 + START_WINDOW)
        );
        vm.assertEq(token.balanceOf(customer), before);
    }

    function test_AStartedJobTakesMoreMoneyAfterItsStartDeadline() public {
        JobId id = running();
        vm.warp(T0 + START_WINDOW + 1);
        topUp(id, 60);
        vm.assertEq(market.job(id).duration, 3660);
    }

    function test_TheOffersLongestDurationHolds() public {
        JobId id = running();
        topUp(id, MAX_DURATION - 3600);
        refused(
            id,
            1,
            abi.encodeWithSelector(
                IComputeMarketErrors.DurationOutOfRange.selector, MAX_DURATION + 1, MIN_DURATION, MAX_DURATION
            )
        );
    }

    function test_AHugeExtraDoesNotWrap() public {
        JobId id = running();
        // 3600 more seconds once it is cut to the 24 bits in which it would be stored.
        uint32 wide = 2 ** 24 + 3600;
        refused(
            id,
            wide,
            abi.encodeWithSelector(
                IComputeMarketErrors.DurationOutOfRange.selector, wide + 3600, MIN_DURATION, MAX_DURATION
            )
        );
        refused(
            id,
            type(uint32).max,
            abi.encodeWithSelector(
                IComputeMarketErrors.DurationOutOfRange.selector,
                uint256(type(uint32).max) + 3600,
                MIN_DURATION,
                MAX_DURATION
            )
        );
    }

    function test_AnAnnouncedEndStays() public {
        JobId id = running();
        end(id, uint64(T0 + 1800), 0);
        refused(id, 60, abi.encodeWithSelector(IComputeMarketErrors.EndAnnounced.selector, id, T0 + 1800));
    }

    function test_AnEndedOrClosedJobTakesNoMoreMoney() public {
        JobId id = running();
        vm.warp(T0 + 3600);
        refused(id, 60, abi.encodeWithSelector(IComputeMarketErrors.WrongStatus.selector, id, JobStatus.Ended));
        end(id, 0, 0);
        refused(id, 60, abi.encodeWithSelector(IComputeMarketErrors.WrongStatus.selector, id, JobStatus.Closed));
    }

    /// @dev Whoever pays, what comes back is the customer's.
    function test_AnybodyTopsUpAndTheCustomerIsCreditedWhatComesBack() public {
        JobId id = running();
        fund(stranger, 2e6);
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.JobToppedUp(id, offerId, stranger, 5400, 6e6);
        vm.prank(stranger);
        market.topUp(id, 1800);
        vm.assertEq(token.balanceOf(stranger), 0);
        end(id, 0, 0);
        vm.assertEq(creditOf(customer), 6e6);
        vm.assertEq(creditOf(stranger), 0);
    }
}
