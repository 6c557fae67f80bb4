// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {JobId} from "../../src/types/JobId.sol";
import {OfferTerms} from "../../src/types/Offer.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {vm} from "../support/Vm.sol";

/// @notice Orders of one second and of the longest time, in pieces that don't divide: nobody gains a unit by rounding.
contract RoundingTest is MarketTest {
    uint24 private constant LONGEST = type(uint24).max;

    function order(uint80 price, uint24 duration) private returns (JobId id) {
        OfferTerms memory t = terms();
        (t.minDuration, t.maxDuration) = (0, LONGEST);
        vm.prank(operator);
        offerId = market.setOffer(t, price, AVAILABLE, type(uint64).max, "");
        fund(customer, 1e30);
        id = place(customer, orderOf(offerId, customer, 1, duration, price, 0, ""), "");
        start(id);
    }

    function test_OneSecondAtOneUnitAnHourCostsOneUnitAndPaysNone() public {
        JobId id = order(1, 1);
        vm.assertEq(market.job(id).deposit, 1);
        vm.warp(T0 + 1);
        vm.assertEq(claim(id, 1), 1);
        vm.assertEq(market.job(id).paid, 0);
        end(id, 0, 1);
        vm.assertEq(creditOf(customer), 1);
        assertBooks(id);
    }

    function test_TheLongestOrderIsPaidToTheUnit() public {
        JobId id = order(3601, LONGEST);
        uint256 cost = uint256(3601) * LONGEST;
        vm.assertEq(market.job(id).deposit, (cost + 3599) / 3600);
        vm.warp(T0 + LONGEST);
        claim(id, LONGEST);
        vm.assertEq(market.job(id).paid, cost / 3600);
        end(id, 0, LONGEST);
        vm.assertEq(creditOf(customer), 1);
        assertBooks(id);
    }

    /// @dev Each of these claims alone would round down to nothing.
    function test_ManyTinyClaimsPayWhatOneDoes() public {
        JobId id = order(1, 7200);
        vm.warp(T0 + 7200);
        for (uint64 used = 450; used <= 7200; used += 450) {
            claim(id, used);
        }
        vm.assertEq(creditOf(provider) + feesOf(sink), 2);
    }

    /// @dev Each of these fees alone would round down to nothing.
    function test_ManyTinyClaimsPayTheFeeThatOneDoes() public {
        JobId id = order(3600, 7200);
        vm.warp(T0 + 7200);
        for (uint64 used = 1; used <= 200; ++used) {
            claim(id, used);
        }
        vm.assertEq(feesOf(sink), 5);
        vm.assertEq(creditOf(provider), 195);
    }

    /// @dev The deposit of a job shortened in steps is the one that it would have had.
    function test_AJobShortenedInStepsGivesBackNotAUnitTooMuch() public {
        JobId id = order(1, 10_000);
        vm.warp(T0 + 10);
        for (uint64 to = 9900; to >= 100; to -= 100) {
            vm.assertEq(end(id, uint64(T0 + to), 0), 1);
            vm.assertEq(market.job(id).deposit, (uint256(to) + 3599) / 3600);
            assertBooks(id);
        }
    }
}
