// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarketErrors} from "../../src/interfaces/IComputeMarketErrors.sol";
import {IComputeMarketEvents} from "../../src/interfaces/IComputeMarketEvents.sol";
import {Offer, OfferTerms} from "../../src/types/Offer.sol";
import {OfferId} from "../../src/types/OfferId.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {vm} from "../support/Vm.sol";

contract SetOfferTest is MarketTest {
    uint64 private constant FOREVER = uint64(T0 + 30 days);

    function refused(OfferTerms memory t, bytes memory why) private {
        vm.expectRevert(why);
        vm.prank(operator);
        market.setOffer(t, PRICE, AVAILABLE, type(uint64).max, "{}");
    }

    function test_AnOfferIsStoredAndLogged() public {
        OfferTerms memory t = terms();
        t.salt = "second";
        OfferId expected = market.offerIdOf(t);
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.OfferSet(expected, provider, t, 5, 3, uint64(T0 + 60), '{"region":"de"}');
        vm.prank(operator);
        OfferId id = market.setOffer(t, 5, 3, uint64(T0 + 60), '{"region":"de"}');

        vm.assertTrue(id == expected);
        Offer memory offer = market.offer(id);
        vm.assertEq(abi.encode(offer.terms), abi.encode(t));
        vm.assertEq(offer.price, 5);
        vm.assertEq(offer.available, 3);
        vm.assertEq(offer.validUntil, T0 + 60);
        vm.assertEq(market.offerCountOf(provider), 2);
    }

    function test_PostedAgainItOnlyChangesWhatMayChange() public {
        vm.prank(operator);
        OfferId again = market.setOffer(terms(), 9, 4, uint64(T0), "");
        vm.assertTrue(again == offerId);
        vm.assertEq(market.offerCountOf(provider), 1);
        vm.assertEq(market.offer(offerId).price, 9);
        vm.assertEq(market.offer(offerId).available, 4);
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.OfferSet(offerId, provider, terms(), 9, 0, uint64(T0), "other words");
        vm.prank(operator);
        market.setOffer(terms(), 9, 0, uint64(T0), "other words");
    }

    function test_EachTermGivesAnotherOffer() public view {
        bytes8[10] memory seen;
        for (uint256 i = 0; i < 10; ++i) {
            OfferTerms memory t = terms();
            if (i == 1) t.provider = stranger;
            if (i == 2) t.token = stranger;
            if (i == 3) t.gpuClass = "NVIDIA-L40S";
            if (i == 4) t.startWindow += 1;
            if (i == 5) t.claimWindow += 1;
            if (i == 6) t.minDuration += 1;
            if (i == 7) t.maxDuration += 1;
            if (i == 8) t.salt = "x";
            if (i == 9) t.verifier = stranger;
            seen[i] = OfferId.unwrap(market.offerIdOf(t));
            for (uint256 j = 0; j < i; ++j) {
                vm.assertTrue(seen[i] != seen[j]);
            }
        }
    }

    function test_OnlyTheProviderAndItsOperatorPost() public {
        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.NotOperator.selector, stranger, provider));
        vm.prank(stranger);
        market.setOffer(terms(), PRICE, AVAILABLE, type(uint64).max, "{}");
        vm.prank(provider);
        market.setOffer(terms(), PRICE, AVAILABLE, type(uint64).max, "{}");
    }

    function test_AProviderWithoutPayoutAddressCantPost() public {
        OfferTerms memory t = terms();
        t.provider = stranger;
        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.UnknownProvider.selector, stranger));
        vm.prank(stranger);
        market.setOffer(t, PRICE, AVAILABLE, type(uint64).max, "{}");
    }

    /// @dev What is logged is what the market keeps, and who is paid, whoever posts.
    function test_WhatIsLoggedIsWhatIsKept() public {
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.OfferSet(offerId, provider, terms(), 7, 32_767, FOREVER, "card");
        vm.prank(operator);
        market.setOffer(terms(), 7, 65_535, type(uint64).max, "card");
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.OfferSet(offerId, provider, terms(), 7, 1, FOREVER, "");
        vm.prank(provider);
        market.setOffer(terms(), 7, 1, FOREVER + 1, "");
        vm.assertEq(market.offer(offerId).available, 1);
    }

    function test_TheEdgesOfTheTermsAreAllowed() public {
        OfferTerms memory t = terms();
        (t.startWindow, t.claimWindow, t.minDuration, t.maxDuration) = (18 hours, 30 days, 2 ** 24 - 1, 2 ** 24 - 1);
        vm.assertEq(abi.encode(market.offer(post(t)).terms), abi.encode(t));
        (t.startWindow, t.claimWindow, t.minDuration, t.maxDuration) = (0, 5 minutes, 0, 1);
        vm.assertEq(abi.encode(market.offer(post(t)).terms), abi.encode(t));
        vm.assertEq(market.MIN_CLAIM_WINDOW(), 300);
    }

    /// @dev In a window of seconds a claim can't be sent again, and its use would be lost.
    function test_AClaimWindowIsNotTooShort() public {
        OfferTerms memory t = terms();
        t.claimWindow = 299;
        refused(t, abi.encodeWithSelector(IComputeMarketErrors.WindowTooShort.selector, 299, 300));
        t.claimWindow = 0;
        refused(t, abi.encodeWithSelector(IComputeMarketErrors.WindowTooShort.selector, 0, 300));
    }

    function test_TermsThatMakeNoSenseAreRefused() public {
        OfferTerms memory t = terms();
        t.maxDuration = 0;
        t.minDuration = 0;
        vm.assertEq(market.MAX_DURATION(), type(uint24).max);
        refused(t, abi.encodeWithSelector(IComputeMarketErrors.InvalidDurations.selector, 0, 0, type(uint24).max));
        t.minDuration = 61;
        t.maxDuration = 60;
        refused(t, abi.encodeWithSelector(IComputeMarketErrors.InvalidDurations.selector, 61, 60, type(uint24).max));
        t.maxDuration = 2 ** 24;
        refused(
            t, abi.encodeWithSelector(IComputeMarketErrors.InvalidDurations.selector, 61, 2 ** 24, type(uint24).max)
        );
        t = terms();
        t.startWindow = 18 hours + 1;
        refused(t, abi.encodeWithSelector(IComputeMarketErrors.WindowTooLong.selector, 18 hours + 1, 18 hours));
        t = terms();
        t.claimWindow = 30 days + 1;
        refused(t, abi.encodeWithSelector(IComputeMarketErrors.WindowTooLong.selector, 30 days + 1, 30 days));
        t = terms();
        t.token = address(0xdead);
        refused(t, abi.encodeWithSelector(IComputeMarketErrors.TokenRefused.selector, provider, address(0xdead)));
    }

    function test_APriceLiesBetweenTheFloorAnd80Bits() public {
        vm.prank(provider);
        market.setFloor(address(token), 0, 100);
        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.PriceBelowFloor.selector, 99, 100));
        vm.prank(operator);
        market.setOffer(terms(), 99, AVAILABLE, type(uint64).max, "");
        vm.expectRevert(
            abi.encodeWithSelector(IComputeMarketErrors.PriceTooHigh.selector, uint256(2 ** 80), type(uint80).max)
        );
        vm.prank(operator);
        market.setOffer(terms(), 2 ** 80, AVAILABLE, type(uint64).max, "");
        vm.prank(operator);
        market.setOffer(terms(), 100, AVAILABLE, type(uint64).max, "");
        vm.prank(operator);
        market.setOffer(terms(), type(uint80).max, AVAILABLE, type(uint64).max, "");
        vm.assertEq(market.offer(offerId).price, type(uint80).max);
    }

    function test_ACardHasALimit() public {
        vm.prank(operator);
        market.setOffer(terms(), PRICE, AVAILABLE, type(uint64).max, string(new bytes(4096)));
        string memory card = string(new bytes(4097));
        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.TextTooLong.selector, 4097, 4096));
        vm.prank(operator);
        market.setOffer(terms(), PRICE, AVAILABLE, type(uint64).max, card);
    }

    function test_ForeverMeansAMonth() public view {
        vm.assertEq(market.offer(offerId).validUntil, T0 + 30 days);
        vm.assertEq(market.MAX_VALIDITY(), 30 days);
    }
}
