// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarketErrors as Errors} from "../../src/interfaces/IComputeMarketErrors.sol";
import {JobStatus, SkipReason} from "../../src/types/Job.sol";
import {JobId} from "../../src/types/JobId.sol";
import {OfferTerms} from "../../src/types/Offer.sol";
import {OfferId} from "../../src/types/OfferId.sol";
import {Voucher} from "../../src/types/Voucher.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {vm} from "../support/Vm.sol";

/// @notice Where a call is wrong in several ways, which of them is told: the order in which `IComputeMarket` lists them.
contract WhichReasonTest is MarketTest {
    // -------------------------------------------------------------------------------------------------------- errors

    struct Asked {
        OfferId offer;
        uint16 gpus;
        uint32 duration;
        uint128 maxPrice;
        bytes spec;
    }

    function refused(Asked memory asked, bytes memory why) private {
        vm.expectRevert(why);
        vm.prank(stranger);
        market.openJob(
            orderOf(asked.offer, stranger, asked.gpus, asked.duration, asked.maxPrice, 0, asked.spec), asked.spec
        );
    }

    function setFloor(uint128 price) private {
        vm.prank(provider);
        market.setFloor(address(token), 0, price);
    }

    /// @dev Wrong in every way; then one after another is put right.
    function test_OfAnOrder() public {
        OfferId missing = OfferId.wrap("none");
        vm.prank(operator);
        market.updateOffer(offerId, PRICE, AVAILABLE, uint64(T0 + 10));
        Asked memory asked = Asked(missing, AVAILABLE + 1, MAX_DURATION + 1, PRICE - 1, new bytes(4097));
        setFloor(0);
        vm.warp(T0 + 11);
        refused(asked, abi.encodeWithSelector(Errors.UnknownOffer.selector, missing));
        asked.offer = offerId;
        refused(asked, abi.encodeWithSelector(Errors.OfferExpired.selector, offerId, T0 + 10));
        vm.warp(T0 + 10);
        refused(asked, abi.encodeWithSelector(Errors.GpusUnavailable.selector, AVAILABLE + 1, AVAILABLE));
        asked.gpus = AVAILABLE;
        refused(asked, abi.encodeWithSelector(Errors.PriceAboveMax.selector, PRICE, PRICE - 1));
        asked.maxPrice = PRICE;
        refused(
            asked,
            abi.encodeWithSelector(Errors.DurationOutOfRange.selector, MAX_DURATION + 1, MIN_DURATION, MAX_DURATION)
        );
        asked.duration = MAX_DURATION;
        refused(asked, abi.encodeWithSelector(Errors.TokenRefused.selector, provider, address(token)));
        setFloor(PRICE + 1);
        refused(asked, abi.encodeWithSelector(Errors.PriceBelowFloor.selector, PRICE, PRICE + 1));
        setFloor(PRICE);
        refused(asked, abi.encodeWithSelector(Errors.TextTooLong.selector, 4097, 4096));
        asked.spec = new bytes(4096);
        refused(
            asked,
            abi.encodeWithSignature(
                "ERC20InsufficientAllowance(address,uint256,uint256)",
                address(market),
                0,
                uint256(AVAILABLE) * MAX_DURATION * PRICE / 3600
            )
        );
    }

    /// @dev The same order once more, without the money for it.
    function test_OfAnOrderThatExistsAndCantBePaid() public {
        JobId id = open(1, 3600, 0);
        vm.prank(customer);
        token.approve(address(market), 0);
        vm.expectRevert(abi.encodeWithSelector(Errors.JobExists.selector, id));
        open(1, 3600, 0);
    }

    function topUpRefused(address by, JobId id, uint32 extra, bytes memory why) private {
        vm.expectRevert(why);
        vm.prank(by);
        market.topUp(id, extra);
    }

    function test_OfATopUp() public {
        JobId id = running();
        end(id, uint64(T0 + 1800), 0);
        vm.warp(T0 + 1800);
        topUpRefused(
            customer, id, MAX_DURATION, abi.encodeWithSelector(Errors.WrongStatus.selector, id, JobStatus.Ended)
        );
        vm.warp(T0 + 1799);
        topUpRefused(customer, id, MAX_DURATION, abi.encodeWithSelector(Errors.EndAnnounced.selector, id, T0 + 1800));

        vm.warp(T0);
        JobId late = open(1, 3600, "late");
        vm.warp(T0 + START_WINDOW + 1);
        topUpRefused(
            customer,
            late,
            MAX_DURATION,
            abi.encodeWithSelector(Errors.StartDeadlinePassed.selector, late, T0 + START_WINDOW)
        );
    }

    function test_OfAnEndByTheCustomer() public {
        JobId id = open(1, 3600, 0);
        vm.expectRevert(abi.encodeWithSelector(Errors.NotCustomer.selector, id, stranger));
        vm.prank(stranger);
        market.endJob(ref(id));
        JobId missing = none();
        vm.expectRevert(abi.encodeWithSelector(Errors.NotCustomer.selector, missing, customer));
        vm.prank(customer);
        market.endJob(ref(missing));
    }

    function postRefused(address by, OfferTerms memory t, uint128 price, uint256 card, bytes memory why) private {
        vm.expectRevert(why);
        vm.prank(by);
        market.setOffer(t, price, 1, 0, string(new bytes(card)));
    }

    function test_OfAnOffer() public {
        OfferTerms memory t = terms();
        t.salt = "new";
        (t.provider, t.startWindow, t.claimWindow, t.maxDuration) = (stranger, 18 hours + 1, 0, 0);
        uint128 price = uint128(type(uint80).max) + 1;
        setFloor(0);
        postRefused(owner, t, price, 4097, abi.encodeWithSelector(Errors.TextTooLong.selector, 4097, 4096));
        postRefused(owner, t, price, 4096, abi.encodeWithSelector(Errors.UnknownProvider.selector, stranger));
        t.provider = provider;
        postRefused(owner, t, price, 0, abi.encodeWithSelector(Errors.NotOperator.selector, owner, provider));
        postRefused(
            operator, t, price, 0, abi.encodeWithSelector(Errors.WindowTooLong.selector, 18 hours + 1, 18 hours)
        );
        t.startWindow = 18 hours;
        postRefused(operator, t, price, 0, abi.encodeWithSelector(Errors.WindowTooShort.selector, 0, 300));
        t.claimWindow = 30 days + 1;
        postRefused(operator, t, price, 0, abi.encodeWithSelector(Errors.WindowTooLong.selector, 30 days + 1, 30 days));
        t.claimWindow = 30 days;
        postRefused(
            operator,
            t,
            price,
            0,
            abi.encodeWithSelector(Errors.InvalidDurations.selector, MIN_DURATION, 0, type(uint24).max)
        );
        t.maxDuration = MIN_DURATION;
        postRefused(
            operator, t, price, 0, abi.encodeWithSelector(Errors.PriceTooHigh.selector, price, type(uint80).max)
        );
        postRefused(
            operator, t, PRICE, 0, abi.encodeWithSelector(Errors.TokenRefused.selector, provider, address(token))
        );
        setFloor(PRICE + 1);
        postRefused(operator, t, PRICE, 0, abi.encodeWithSelector(Errors.PriceBelowFloor.selector, PRICE, PRICE + 1));
        setFloor(PRICE);
        vm.prank(operator);
        market.setOffer(t, PRICE, 1, 0, string(new bytes(4096)));
    }

    function updateRefused(address by, OfferId id, uint128 price, bytes memory why) private {
        vm.expectRevert(why);
        vm.prank(by);
        market.updateOffer(id, price, 1, 0);
    }

    function test_OfAnUpdate() public {
        OfferId missing = OfferId.wrap("none");
        uint128 high = uint128(type(uint80).max) + 1;
        setFloor(type(uint128).max);
        updateRefused(stranger, missing, high, abi.encodeWithSelector(Errors.UnknownOffer.selector, missing));
        updateRefused(stranger, offerId, high, abi.encodeWithSelector(Errors.NotOperator.selector, stranger, provider));
        updateRefused(
            operator, offerId, high, abi.encodeWithSelector(Errors.PriceTooHigh.selector, high, type(uint80).max)
        );
        updateRefused(
            operator,
            offerId,
            high - 1,
            abi.encodeWithSelector(Errors.PriceBelowFloor.selector, high - 1, type(uint128).max)
        );
    }

    function test_OfAWithdrawal() public {
        vm.expectRevert(abi.encodeWithSelector(Errors.PayoutOnly.selector, provider, payout, stranger));
        vm.prank(provider);
        market.withdraw(address(token), stranger, type(uint256).max);
        vm.expectRevert(abi.encodeWithSelector(Errors.UnknownProvider.selector, customer));
        market.withdrawFor(customer, address(token));
        vm.expectRevert(abi.encodeWithSelector(Errors.NotOperator.selector, stranger, provider));
        vm.prank(stranger);
        market.withdrawFor(provider, address(token));
    }

    function test_OfAFee() public {
        vm.expectRevert(abi.encodeWithSignature("OwnableUnauthorizedAccount(address)", stranger));
        vm.prank(stranger);
        market.setFee(1001, address(0));
        vm.expectRevert(abi.encodeWithSelector(Errors.FeeTooHigh.selector, 1001, 1000));
        vm.prank(owner);
        market.setFee(1001, address(0));
    }

    function test_OfABatchThatIsWrongAsAWhole() public {
        vm.expectRevert(abi.encodeWithSelector(Errors.LengthMismatch.selector, 1, 2));
        market.endJobs(refs(new JobId[](1)), uint64(T0), new uint64[](2), string(new bytes(257)));
    }

    // --------------------------------------------------------------------------------------------------------- skips

    function none() private view returns (JobId) {
        return JobId.wrap(bytes32(OfferId.unwrap(offerId)));
    }

    function declineSkips(address by, JobId id, SkipReason why) private {
        expectSkip(id, why);
        vm.prank(by);
        vm.assertEq(market.declineJobs(refs(one(id)), ""), 0);
    }

    function test_OfADecline() public {
        JobId id = running();
        declineSkips(stranger, none(), SkipReason.NotOperator);
        declineSkips(stranger, id, SkipReason.NotOperator);
        declineSkips(operator, id, SkipReason.AlreadyStarted);
        end(id, 0, 0);
        declineSkips(stranger, id, SkipReason.NotOperator);
        declineSkips(operator, id, SkipReason.NotLive);
    }

    function startSkips(address by, JobId id, address signer, SkipReason why) private {
        address[] memory signers = new address[](1);
        signers[0] = signer;
        expectSkip(id, why);
        vm.prank(by);
        vm.assertEq(market.startJobs(one(id), signers), 0);
    }

    function test_OfAStart() public {
        JobId late = open(1, 3600, "late");
        JobId id = running();
        startSkips(stranger, none(), address(0), SkipReason.NotOperator);
        startSkips(operator, none(), address(0), SkipReason.NotLive);
        startSkips(operator, id, address(0), SkipReason.ZeroAttestor);
        vm.warp(T0 + 3600);
        startSkips(stranger, id, address(0), SkipReason.NotOperator);
        startSkips(operator, id, address(0), SkipReason.ZeroAttestor);
        startSkips(operator, late, address(0), SkipReason.ZeroAttestor);
        startSkips(operator, late, attestor, SkipReason.DeadlinePassed);
        end(id, 0, 0);
        startSkips(operator, id, attestor, SkipReason.NotLive);
    }

    function endSkips(address by, JobId id, uint64 endAt, uint64 expectUsed, SkipReason why) private {
        uint64[] memory expected = new uint64[](1);
        expected[0] = expectUsed;
        expectSkip(id, why);
        vm.prank(by);
        vm.assertEq(market.endJobs(refs(one(id)), endAt, expected, ""), 0);
    }

    function test_OfAnEnd() public {
        JobId unstarted = open(1, 3600, "not started");
        JobId id = running();
        vm.warp(T0 + 3600);
        endSkips(stranger, none(), 0, 1, SkipReason.NotOperator);
        endSkips(stranger, unstarted, 1, 1, SkipReason.NotOperator);
        endSkips(operator, none(), 1, 1, SkipReason.NotLive);
        endSkips(operator, unstarted, 1, 1, SkipReason.NotStarted);
        endSkips(stranger, id, 1, 1, SkipReason.NotOperator);
        endSkips(operator, id, 1, 1, SkipReason.UnclaimedUse);
        endSkips(operator, id, uint64(T0 + 3601), 1, SkipReason.UnclaimedUse);
        endSkips(operator, id, uint64(T0 + 3600), 0, SkipReason.EndPassed);
        endSkips(operator, id, uint64(T0 + 3601), 0, SkipReason.EndNotEarlier);
        end(id, 0, 0);
        endSkips(stranger, id, 0, 1, SkipReason.NotOperator);
        endSkips(operator, id, 1, 1, SkipReason.NotLive);
        vm.prank(operator);
        market.declineJobs(refs(one(unstarted)), "");
        endSkips(operator, unstarted, 1, 1, SkipReason.NotLive);
    }

    function claimSkips(OfferId of_, Voucher memory voucher, SkipReason why) private {
        expectSkip(voucher.use.job(of_), why);
        vm.assertEq(market.claim(of_, one(voucher), noProofs()), 0);
    }

    function test_OfAClaim() public {
        OfferTerms memory t = terms();
        t.salt = "other";
        OfferId other = post(t);
        JobId unstarted = open(1, 3600, "not started");
        JobId id = running();
        vm.warp(T0 + 100);
        claim(id, 100);
        claimSkips(other, signAs(0xBAD, none(), 0), SkipReason.NotLive);
        claimSkips(other, signAs(0xBAD, id, 100), SkipReason.NotLive);
        claimSkips(offerId, signAs(0xBAD, unstarted, 0), SkipReason.NotStarted);
        claimSkips(offerId, signAs(0xBAD, id, 100), SkipReason.Stale);
        claimSkips(offerId, signAs(0xBAD, id, 101), SkipReason.BadSignature);
        vm.prank(operator);
        market.declineJobs(refs(one(unstarted)), "");
        claimSkips(offerId, signAs(0xBAD, unstarted, 0), SkipReason.NotLive);
        vm.warp(T0 + 3600 + CLAIM_WINDOW + 1);
        claimSkips(other, signAs(0xBAD, id, 100), SkipReason.NotLive);
        claimSkips(offerId, signAs(0xBAD, id, 100), SkipReason.ClaimWindowPassed);
        claimSkips(offerId, signAs(0xBAD, id, 7200), SkipReason.ClaimWindowPassed);
        end(id, 0, 0);
        claimSkips(offerId, signAs(0xBAD, id, 100), SkipReason.NotLive);
    }

    function refundSkips(JobId id, SkipReason why) private {
        expectSkip(id, why);
        vm.assertEq(market.refund(refs(one(id))), 0);
    }

    function test_OfARefund() public {
        JobId id = running();
        JobId declined = open(1, 3600, "declined");
        end(id, 0, 0);
        vm.prank(operator);
        market.declineJobs(refs(one(declined)), "");
        refundSkips(id, SkipReason.NotLive);
        refundSkips(declined, SkipReason.NotLive);
        vm.warp(T0 + 100 days);
        refundSkips(id, SkipReason.NotLive);
        refundSkips(none(), SkipReason.NotLive);
    }
}
