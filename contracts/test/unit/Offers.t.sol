// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarketErrors} from "../../src/interfaces/IComputeMarketErrors.sol";
import {Offer, OfferTerms} from "../../src/types/Offer.sol";
import {OfferId} from "../../src/types/OfferId.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {vm} from "../support/Vm.sol";

contract OffersTest is MarketTest {
    function setUp() public override {
        super.setUp();
        for (uint256 i = 1; i < 5; ++i) {
            OfferTerms memory t = terms();
            t.salt = bytes32(i);
            post(t);
        }
    }

    function test_PagesFollowTheOrderOfPosting() public view {
        vm.assertEq(market.offerCountOf(provider), 5);
        Offer[] memory page = market.offersOf(provider, 1, 2);
        vm.assertEq(page.length, 2);
        vm.assertEq(page[0].terms.salt, bytes32(uint256(1)));
        vm.assertEq(page[1].terms.salt, bytes32(uint256(2)));
        vm.assertTrue(page[0].id == market.offerIdOf(page[0].terms));
    }

    function test_APageEndsWithTheList() public view {
        vm.assertEq(market.offersOf(provider, 3, type(uint256).max).length, 2);
        vm.assertEq(market.offersOf(provider, 5, 1).length, 0);
        vm.assertEq(market.offersOf(provider, type(uint256).max, type(uint256).max).length, 0);
    }

    function test_AnUnknownOfferIsAnError() public {
        OfferId none = OfferId.wrap("none");
        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.UnknownOffer.selector, none));
        market.offer(none);
    }
}
