// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarketErrors} from "../../src/interfaces/IComputeMarketErrors.sol";
import {Job} from "../../src/types/Job.sol";
import {JobId} from "../../src/types/JobId.sol";
import {OfferTerms} from "../../src/types/Offer.sol";
import {OfferId} from "../../src/types/OfferId.sol";
import {Order} from "../../src/types/Order.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {vm} from "../support/Vm.sol";

/// @notice The highest price for the most GPUs and the longest time fits, and doesn't spill into what lies beside it.
contract PriceLimitsTest is MarketTest {
    uint80 private constant HIGHEST = type(uint80).max;
    uint16 private constant MOST = 2 ** 15 - 1;
    uint24 private constant LONGEST = type(uint24).max;

    function greatest(bytes32 salt) private returns (JobId id) {
        OfferTerms memory t = terms();
        t.maxDuration = LONGEST;
        vm.prank(operator);
        offerId = market.setOffer(t, HIGHEST, MOST, type(uint64).max, "");
        fund(customer, uint256(1) << 130);
        id = place(customer, orderOf(offerId, customer, MOST, LONGEST, type(uint128).max, salt, ""), "");
        start(id);
    }

    function test_TheGreatestJobIsPaidToTheUnit() public {
        JobId id = greatest(0);
        uint256 used = uint256(MOST) * LONGEST;
        Job memory job = market.job(id);
        vm.assertEq(job.price, HIGHEST);
        vm.assertEq(job.gpus, MOST);
        vm.assertEq(job.duration, LONGEST);
        vm.assertEq(job.deposit, (uint256(HIGHEST) * used + 3599) / 3600);
        vm.warp(T0 + LONGEST);
        claim(id, uint64(used));
        vm.assertEq(market.job(id).used, used);
        vm.assertEq(market.job(id).paid, uint256(HIGHEST) * used / 3600);
        vm.assertEq(market.job(id).attestor, tailOf(attestor));
        vm.assertEq(market.job(id).started, T0);
        vm.assertEq(market.job(id).duration, LONGEST);
        assertBooks(id);
    }

    /// @dev What an offer earned is counted in 128 bits: it stops there, claims don't.
    function test_ACountThatIsFullStopsNoClaim() public {
        JobId id = greatest(0);
        for (uint256 slot = 0; slot < 16; ++slot) {
            uint256 place = uint256(keccak256(abi.encode(OfferId.unwrap(offerId), slot)));
            if (address(uint160(uint256(vm.load(address(market), bytes32(place))))) == provider) {
                uint256 word = uint256(vm.load(address(market), bytes32(place + 2)));
                vm.store(address(market), bytes32(place + 2), bytes32(word | uint256(type(uint128).max - 1)));
            }
        }
        vm.assertEq(market.offer(offerId).settledAmount, type(uint128).max - 1);
        vm.warp(T0 + LONGEST);
        vm.assertEq(claim(id, type(uint64).max), 1);
        vm.assertEq(market.offer(offerId).settledAmount, type(uint128).max);
        vm.assertEq(creditOf(provider), market.job(id).paid);
    }

    function test_ThePriceAboveTheHighestIsRefusedAndNotCut() public {
        uint128 above = uint128(HIGHEST) + 1;
        bytes memory why = abi.encodeWithSelector(IComputeMarketErrors.PriceTooHigh.selector, above, HIGHEST);
        vm.expectRevert(why);
        vm.prank(operator);
        market.updateOffer(offerId, above, 1, 0);
        vm.expectRevert(why);
        vm.prank(operator);
        market.setOffer(terms(), above, 1, 0, "");
        Order memory any = orderOf(offerId, customer, 1, 1, 0, 0, "");
        vm.expectRevert(why);
        market.jobIdOf(any, above, 0);
        JobId highest = market.jobIdOf(any, HIGHEST, 0);
        vm.assertTrue(highest != market.jobIdOf(any, HIGHEST - 1, 0));
    }
}
