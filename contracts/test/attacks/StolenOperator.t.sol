// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarketErrors} from "../../src/interfaces/IComputeMarketErrors.sol";
import {SkipReason} from "../../src/types/Job.sol";
import {JobId} from "../../src/types/JobId.sol";
import {OfferTerms} from "../../src/types/Offer.sol";
import {OfferId} from "../../src/types/OfferId.sol";
import {Voucher} from "../../src/types/Voucher.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {vm} from "../support/Vm.sol";

/// @notice What a thief of the hot key can't do, what it can do and what that costs, and what the cold key does about it.
contract StolenOperatorTest is MarketTest {
    uint256 private constant THIEF_KEY = 0x7417EF;

    function test_EarningsStillGoToThePayoutAddress() public {
        JobId id = running();
        vm.warp(T0 + 1000);
        claim(id, 1800);
        vm.expectRevert(
            abi.encodeWithSelector(IComputeMarketErrors.NothingToWithdraw.selector, operator, address(token))
        );
        vm.prank(operator);
        market.withdraw(address(token), operator, type(uint256).max);
        vm.prank(operator);
        market.withdrawFor(provider, address(token));
        vm.assertEq(token.balanceOf(payout), 975_000);
    }

    function test_ItCantTouchTheKeysOrTheFloor() public {
        vm.prank(operator);
        market.setProvider(operator, operator);
        vm.prank(operator);
        market.setFloor(address(token), 0, 0);
        vm.assertEq(market.provider(provider).payout, payout);
        vm.assertEq(market.floor(provider, address(token), 0), 1);
    }

    /// @dev The thief is a customer too, and has a job that it ends for nothing: it loses the provider the use since the
    /// last claim, and not more.
    function test_EndingAJobLosesOnlyWhatWasNotClaimed() public {
        JobId id = running();
        vm.warp(T0 + 1000);
        claim(id, 1800);
        vm.warp(T0 + 1060);
        end(id, 0, 0);
        vm.assertEq(creditOf(provider) + feesOf(sink), 1e6);
        vm.assertEq(creditOf(customer), 3e6);
    }

    /// @dev It overcharges customers for the provider's good, within running time and deposit.
    function test_SigningForItselfPaysTheProviderWithinTheBounds() public {
        JobId id = running();
        vm.warp(T0 + 600);
        startAs(id, vm.addr(THIEF_KEY));
        market.claim(offerId, one(signAs(THIEF_KEY, id, type(uint64).max)), noProofs());
        vm.assertEq(market.job(id).used, 1200);
        vm.assertEq(creditOf(operator), 0);
    }

    function test_RotatingAttestorsLosesOnlyWhatWasNotClaimed() public {
        JobId id = running();
        vm.warp(T0 + 1000);
        claim(id, 1800);
        vm.warp(T0 + 1060);
        Voucher memory last = sign(id, 2120);
        startAs(id, vm.addr(THIEF_KEY));
        vm.assertEq(market.claim(offerId, one(last), noProofs()), 0);
        // The real operator puts its attestor back, and the voucher counts again.
        start(id);
        vm.assertEq(market.claim(offerId, one(last), noProofs()), 1);
        vm.assertEq(market.job(id).used, 2120);
    }

    /// @dev Also after the end, for as long as there is anything to claim: the cold key names another hot key, and that puts
    /// the right attestor back.
    function test_RotatedInTheLastSecondTheRightAttestorIsPutBack() public {
        JobId id = running();
        vm.warp(T0 + 3540);
        claim(id, 7080);
        vm.warp(T0 + 3599);
        Voucher memory last = sign(id, 7200);
        startAs(id, vm.addr(THIEF_KEY));
        vm.warp(T0 + 3600 + CLAIM_WINDOW);
        expectSkip(id, SkipReason.BadSignature);
        vm.assertEq(market.claim(offerId, one(last), noProofs()), 0);
        vm.prank(provider);
        market.setProvider(stranger, payout);
        address[] memory right = new address[](1);
        right[0] = attestor;
        vm.prank(stranger);
        vm.assertEq(market.startJobs(one(id), right), 1);
        vm.assertEq(market.claim(offerId, one(last), noProofs()), 1);
        vm.assertEq(market.job(id).used, 7200);
    }

    function test_JunkOffersAreStoppedByTheFloor() public {
        vm.prank(provider);
        market.setFloor(address(token), 0, PRICE);
        OfferTerms memory junk = terms();
        (junk.salt, junk.claimWindow) = ("junk", 5 minutes);
        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.PriceBelowFloor.selector, PRICE - 1, PRICE));
        vm.prank(operator);
        market.setOffer(junk, PRICE - 1, AVAILABLE, type(uint64).max, "");
        junk.token = address(new Worthless());
        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.TokenRefused.selector, provider, junk.token));
        vm.prank(operator);
        market.setOffer(junk, PRICE, AVAILABLE, type(uint64).max, "");
    }

    function test_TheColdKeyRevokesItAtOnceAndItsJunkOffersTakeNoOrders() public {
        OfferTerms memory junk = terms();
        junk.salt = "junk";
        OfferId posted = post(junk);
        JobId id = running();
        vm.prank(provider);
        market.setProvider(stranger, payout);
        vm.prank(provider);
        market.setFloor(address(token), 0, type(uint128).max);

        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.PriceBelowFloor.selector, PRICE, type(uint128).max));
        vm.prank(customer);
        market.openJob(orderOf(posted, customer, 1, 3600, PRICE, 0, ""), "");
        vm.prank(operator);
        vm.assertEq(market.endJobs(refs(one(id)), 0, new uint64[](1), ""), 0);
        vm.prank(stranger);
        vm.assertEq(market.endJobs(refs(one(id)), 0, new uint64[](1), ""), 1);
    }
}

contract Worthless {}
