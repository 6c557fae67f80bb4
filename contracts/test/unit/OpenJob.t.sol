// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarketErrors} from "../../src/interfaces/IComputeMarketErrors.sol";
import {IComputeMarketEvents} from "../../src/interfaces/IComputeMarketEvents.sol";
import {Job, JobStatus} from "../../src/types/Job.sol";
import {JobId} from "../../src/types/JobId.sol";
import {OfferTerms} from "../../src/types/Offer.sol";
import {OfferId} from "../../src/types/OfferId.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {vm} from "../support/Vm.sol";

contract OpenJobTest is MarketTest {
    function refused(bytes memory why, uint16 gpus, uint32 duration, uint128 maxPrice) private {
        vm.expectRevert(why);
        vm.prank(customer);
        market.openJob(offerId, gpus, duration, maxPrice, 0, "{}");
    }

    function test_AnOrderIsStoredLoggedAndPaidFor() public {
        bytes memory spec = '{"image":"x@sha256:0"}';
        JobId expected = market.jobIdOf(offerId, PRICE, 2, customer, 3600, "salt", keccak256(spec));
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.JobOpened(
            expected, offerId, customer, 3600, uint64(T0 + START_WINDOW), 4e6, "salt", spec
        );
        vm.prank(customer);
        JobId id = market.openJob(offerId, 2, 3600, PRICE, "salt", spec);

        vm.assertTrue(id == expected);
        vm.assertEq(token.balanceOf(address(market)), 4e6);
        Job memory job = market.job(id);
        assertStatus(id, JobStatus.Open);
        vm.assertTrue(job.offerId == offerId);
        vm.assertEq(job.customer, customer);
        vm.assertEq(job.attestor, address(0));
        vm.assertEq(job.price, PRICE);
        vm.assertEq(job.gpus, 2);
        vm.assertEq(job.duration, 3600);
        vm.assertEq(job.minDuration, MIN_DURATION);
        vm.assertEq(job.maxDuration, MAX_DURATION);
        vm.assertEq(job.startDeadline, T0 + START_WINDOW);
        vm.assertEq(job.refundableFrom, T0 + START_WINDOW + 1);
        vm.assertEq(job.started + job.end + job.used + job.paid, 0);
        vm.assertEq(job.deposit, 4e6);
    }

    function test_TheDepositIsRoundedUp() public {
        vm.prank(operator);
        market.updateOffer(offerId, 1, AVAILABLE, type(uint64).max);
        vm.prank(customer);
        JobId id = market.openJob(offerId, 1, MIN_DURATION, 1, 0, "{}");
        vm.assertEq(market.job(id).deposit, 1);
    }

    function test_TheLockedPriceOutlivesAPriceChange() public {
        JobId id = open(1, 3600, 0);
        vm.prank(operator);
        market.updateOffer(offerId, PRICE * 10, AVAILABLE, type(uint64).max);
        vm.assertEq(market.job(id).price, PRICE);
    }

    function test_CreditIsSpentBeforeTokens() public {
        JobId first = open(2, 3600, 0);
        vm.prank(operator);
        market.declineJobs(one(first), "");
        vm.assertEq(creditOf(customer), 4e6);
        uint256 before = token.balanceOf(customer);

        open(1, 3600, "a");
        vm.assertEq(creditOf(customer), 2e6);
        vm.assertEq(token.balanceOf(customer), before);
        open(2, 3600, "b");
        vm.assertEq(creditOf(customer), 0);
        vm.assertEq(token.balanceOf(customer), before - 2e6);
    }

    /// @dev Exactly what there is, one unit less, and one more.
    function test_CreditPaysAsFarAsItGoes() public {
        JobId first = open(2, 3600, 0);
        vm.prank(operator);
        market.declineJobs(one(first), "");
        uint256 before = token.balanceOf(customer);
        uint256 fork = vm.snapshotState();
        open(2, 3600, "all of it");
        vm.assertEq(creditOf(customer), 0);
        vm.assertEq(token.balanceOf(customer), before);
        vm.revertToState(fork);
        vm.prank(operator);
        market.updateOffer(offerId, PRICE - 1, AVAILABLE, type(uint64).max);
        open(2, 3600, "some of it");
        vm.assertEq(creditOf(customer), 2);
        open(1, 3600, "the rest, and the token");
        vm.assertEq(creditOf(customer), 0);
        vm.assertEq(token.balanceOf(customer), before - (PRICE - 1 - 2));
        vm.assertEq(token.balanceOf(address(market)), 3 * (PRICE - 1));
    }

    /// @dev An account without tokens, and without an allowance.
    function test_CreditAloneOrdersWithoutAnAllowance() public {
        JobId first = open(2, 3600, 0);
        vm.prank(operator);
        market.declineJobs(one(first), "");
        vm.prank(customer);
        token.approve(address(market), 0);
        JobId id = open(2, 3600, "from credit");
        vm.assertEq(market.job(id).deposit, 4e6);
        vm.assertEq(creditOf(customer), 0);
        vm.expectRevert(
            abi.encodeWithSignature(
                "ERC20InsufficientAllowance(address,uint256,uint256)", address(market), 0, uint256(PRICE)
            )
        );
        open(1, 3600, "one more");
    }

    function test_TheSameOrderTwiceIsOneOrder() public {
        JobId id = open(1, 3600, 0);
        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.JobExists.selector, id));
        open(1, 3600, 0);
    }

    function test_AClosedOrderCantBeOpenedAgain() public {
        JobId id = open(1, 3600, 0);
        vm.prank(operator);
        market.declineJobs(one(id), "");
        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.JobExists.selector, id));
        open(1, 3600, 0);
    }

    function test_EachPartOfTheOrderIsInTheId() public view {
        JobId[7] memory ids = [
            market.jobIdOf(offerId, PRICE, 1, customer, 3600, 0, 0),
            market.jobIdOf(offerId, PRICE, 1, stranger, 3600, 0, 0),
            market.jobIdOf(offerId, PRICE - 1, 1, customer, 3600, 0, 0),
            market.jobIdOf(offerId, PRICE, 1, customer, 3601, 0, 0),
            market.jobIdOf(offerId, PRICE, 1, customer, 3600, "s", 0),
            market.jobIdOf(offerId, PRICE, 1, customer, 3600, 0, "spec"),
            market.jobIdOf(offerId, PRICE, 2, customer, 3600, 0, 0)
        ];
        for (uint256 i = 0; i < 7; ++i) {
            for (uint256 j = 0; j < i; ++j) {
                vm.assertTrue(ids[i] != ids[j]);
            }
        }
    }

    /// @dev By the same parts others compute it before they order.
    function test_AnIdIsMadeOfOfferPriceGpusAndAHashOfTheOrder() public {
        bytes32 order = keccak256(abi.encode(offerId, customer, 3600, bytes32("salt"), keccak256("{}")));
        bytes32 offer = bytes32(OfferId.unwrap(offerId));
        bytes32 expected = offer | bytes32(uint256(PRICE) << 80) | bytes32(uint256(2) << 64) | order >> 192;
        vm.assertEq(JobId.unwrap(open(2, 3600, "salt")), expected);
        vm.assertEq(JobId.unwrap(market.jobIdOf(offerId, PRICE, 2, customer, 3600, "salt", keccak256("{}"))), expected);
    }

    function test_MoreGpusThanOfferedAreRefused() public {
        refused(abi.encodeWithSelector(IComputeMarketErrors.GpusUnavailable.selector, 9, 8), 9, 3600, PRICE);
        refused(abi.encodeWithSelector(IComputeMarketErrors.GpusUnavailable.selector, 0, 8), 0, 3600, PRICE);
        open(8, 3600, 0);
    }

    function test_APriceAboveWhatTheCustomerAcceptsIsRefused() public {
        refused(
            abi.encodeWithSelector(IComputeMarketErrors.PriceAboveMax.selector, PRICE, PRICE - 1), 1, 3600, PRICE - 1
        );
    }

    function test_ADurationOutsideTheOffersRangeIsRefused() public {
        refused(
            abi.encodeWithSelector(IComputeMarketErrors.DurationOutOfRange.selector, 119, 120, 86_400), 1, 119, PRICE
        );
        refused(
            abi.encodeWithSelector(IComputeMarketErrors.DurationOutOfRange.selector, 86_401, 120, 86_400),
            1,
            86_401,
            PRICE
        );
        // 2^24 + 200 would be a valid 200 where it is stored.
        uint32 wide = 2 ** 24 + 200;
        refused(
            abi.encodeWithSelector(IComputeMarketErrors.DurationOutOfRange.selector, wide, 120, 86_400), 1, wide, PRICE
        );
    }

    function test_AnOrderHasATimeWhateverTheOfferAllows() public {
        OfferTerms memory t = terms();
        (t.salt, t.minDuration, t.maxDuration) = ("any time", 0, 60);
        offerId = post(t);
        refused(abi.encodeWithSelector(IComputeMarketErrors.DurationOutOfRange.selector, 0, 0, 60), 1, 0, PRICE);
        vm.assertEq(market.job(open(1, 1, "one second")).duration, 1);
    }

    function test_TheShortestAndTheLongestOrderAreTaken() public {
        vm.assertEq(market.job(open(1, MIN_DURATION, "short")).duration, MIN_DURATION);
        vm.assertEq(market.job(open(1, MAX_DURATION, "long")).duration, MAX_DURATION);
    }

    function test_AnExpiredOfferTakesNoOrders() public {
        vm.prank(operator);
        market.updateOffer(offerId, PRICE, AVAILABLE, uint64(T0));
        open(1, 3600, 0);
        vm.warp(T0 + 1);
        refused(abi.encodeWithSelector(IComputeMarketErrors.OfferExpired.selector, offerId, T0), 1, 3600, PRICE);
    }

    function test_AnUnknownOfferTakesNoOrders() public {
        OfferId none = OfferId.wrap("none");
        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.UnknownOffer.selector, none));
        market.openJob(none, 1, 3600, PRICE, 0, "{}");
    }

    function test_ASpecHasALimit() public {
        vm.prank(customer);
        market.openJob(offerId, 1, 3600, PRICE, 0, new bytes(4096));
        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.TextTooLong.selector, 4097, 4096));
        vm.prank(customer);
        market.openJob(offerId, 1, 3600, PRICE, 0, new bytes(4097));
    }

    function test_AnOrderWithoutTheMoneyIsRefused() public {
        vm.expectRevert(
            abi.encodeWithSignature(
                "ERC20InsufficientAllowance(address,uint256,uint256)", address(market), 0, uint256(PRICE)
            )
        );
        vm.prank(stranger);
        market.openJob(offerId, 1, 3600, PRICE, 0, "{}");
    }
}
