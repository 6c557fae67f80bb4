// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarket} from "../../src/interfaces/IComputeMarket.sol";
import {IComputeMarketErrors} from "../../src/interfaces/IComputeMarketErrors.sol";
import {IComputeMarketEvents} from "../../src/interfaces/IComputeMarketEvents.sol";
import {Job, JobStatus} from "../../src/types/Job.sol";
import {JobId} from "../../src/types/JobId.sol";
import {OfferTerms} from "../../src/types/Offer.sol";
import {OfferId} from "../../src/types/OfferId.sol";
import {Order} from "../../src/types/Order.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {vm} from "../support/Vm.sol";

contract OpenJobTest is MarketTest {
    function refused(bytes memory why, uint16 gpus, uint32 duration, uint128 maxPrice) private {
        vm.expectRevert(why);
        vm.prank(customer);
        market.openJob(orderOf(offerId, customer, gpus, duration, maxPrice, 0, "{}"), "{}");
    }

    function test_AnOrderIsStoredLoggedAndPaidFor() public {
        bytes memory spec = '{"image":"x@sha256:0"}';
        Order memory order = orderOf(offerId, customer, 2, 3600, PRICE, "salt", spec);
        JobId expected = market.jobIdOf(order, PRICE, 0);
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.JobOpened(expected, offerId, customer, 3600, digestOf(order), keccak256(spec));
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.SpecPosted(expected, spec);
        JobId id = place(customer, order, spec);

        vm.assertTrue(id == expected);
        vm.assertEq(token.balanceOf(address(market)), 4e6);
        Job memory job = market.job(id);
        assertStatus(id, JobStatus.Open);
        vm.assertTrue(job.offerId == offerId);
        vm.assertEq(job.delegation, 0);
        vm.assertEq(market.customerOf(ref(id)), customer);
        vm.assertEq(job.attestor, tailOf(address(0)));
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
        JobId id = place(customer, orderOf(offerId, customer, 1, MIN_DURATION, 1, 0, "{}"), "{}");
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
        market.declineJobs(refs(one(first)), "");
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
        market.declineJobs(refs(one(first)), "");
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
        market.declineJobs(refs(one(first)), "");
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
        market.declineJobs(refs(one(id)), "");
        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.JobExists.selector, id));
        open(1, 3600, 0);
    }

    function test_EachPartOfTheOrderIsInTheId() public view {
        JobId[13] memory ids;
        for (uint256 i = 0; i < 13; ++i) {
            Order memory order = orderOf(offerId, customer, 1, 3600, PRICE, 0, "");
            if (i == 1) order.offerId = OfferId.wrap("none");
            if (i == 2) order.customer = stranger;
            if (i == 3) order.gpus = 2;
            if (i == 4) order.duration = 3601;
            if (i == 5) order.maxPrice = PRICE + 1;
            if (i == 6) order.deadline = 7;
            if (i == 7) order.salt = 1;
            if (i == 8) order.specHash = "spec";
            if (i == 12) order.specOffChain = false;
            ids[i] = market.jobIdOf(order, i == 9 ? PRICE - 1 : PRICE, i < 10 || i == 12 ? 0 : uint32(i - 9));
            for (uint256 j = 0; j < i; ++j) {
                vm.assertTrue(ids[i] != ids[j]);
            }
        }
    }

    /// @dev The same terms and the same order on another market, or another chain.
    function test_AnIdNamesMarketAndChain() public {
        Order memory order = orderOf(offerId, customer, 1, 3600, PRICE, 0, "");
        IComputeMarket other = deployMarket(0, sink);
        vm.assertTrue(other.offerIdOf(terms()) != offerId);
        vm.assertTrue(other.jobIdOf(order, PRICE, 0) != market.jobIdOf(order, PRICE, 0));
        JobId here = market.jobIdOf(order, PRICE, 0);
        vm.chainId(99_999);
        vm.assertTrue(market.jobIdOf(order, PRICE, 0) != here);
        vm.assertTrue(market.offerIdOf(terms()) != offerId);
    }

    /// @dev By the same parts others compute it before they order.
    function test_AnIdIsMadeOfOfferPriceGpusAndAHashOfTheOrder() public {
        Order memory order = orderOf(offerId, customer, 2, 3600, PRICE, "salt", "{}");
        vm.assertEq(digestOf(order), digestOf(order));
        vm.assertEq(market.orderHashOf(order), orderHash(order));
        uint256 head = uint256(bytes32(OfferId.unwrap(offerId))) | uint256(PRICE) << 112 | uint256(2) << 96;
        uint256 hash = uint256(keccak256(abi.encode(head, customer, orderHash(order))));
        JobId id = open(2, 3600, "salt");
        vm.assertEq(JobId.unwrap(id), bytes32(head | hash % 2 ** 95));
        vm.assertEq(market.job(id).orderTag, bytes8(uint64(hash >> 96)));
        vm.assertEq(JobId.unwrap(market.jobIdOf(order, PRICE, 5)), bytes32(head | 1 << 95 | 5 << 64 | hash % 2 ** 64));
    }

    /// @dev A higher one would be another order's id.
    function test_AnIdHasRoomForADelegationOf31Bits() public {
        Order memory order = orderOf(offerId, customer, 2, 3600, PRICE, "salt", "{}");
        vm.assertEq(market.jobIdOf(order, PRICE, 2 ** 31 - 1).delegation(), 2 ** 31 - 1);
        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.DelegationTooHigh.selector, 2 ** 31, 2 ** 31 - 1));
        market.jobIdOf(order, PRICE, 2 ** 31);
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
        market.openJob(orderOf(none, customer, 1, 3600, PRICE, 0, "{}"), "{}");
    }

    function test_ASpecHasALimit() public {
        place(customer, orderOf(offerId, customer, 1, 3600, PRICE, 0, new bytes(4096)), new bytes(4096));
        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.TextTooLong.selector, 4097, 4096));
        vm.prank(customer);
        market.openJob(orderOf(offerId, customer, 1, 3600, PRICE, 0, new bytes(4097)), new bytes(4097));
    }

    function test_AnOrderWithoutTheMoneyIsRefused() public {
        vm.expectRevert(
            abi.encodeWithSignature(
                "ERC20InsufficientAllowance(address,uint256,uint256)", address(market), 0, uint256(PRICE)
            )
        );
        vm.prank(stranger);
        market.openJob(orderOf(offerId, stranger, 1, 3600, PRICE, 0, "{}"), "{}");
    }
}
