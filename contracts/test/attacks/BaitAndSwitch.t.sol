// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarketErrors} from "../../src/interfaces/IComputeMarketErrors.sol";
import {JobId} from "../../src/types/JobId.sol";
import {OfferTerms} from "../../src/types/Offer.sol";
import {OfferId} from "../../src/types/OfferId.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {vm} from "../support/Vm.sol";

/// @notice An offer that turns into another one after it was looked at, or ordered.
contract BaitAndSwitchTest is MarketTest {
    function test_AnotherTokenOrClassIsAnotherOffer() public {
        OfferTerms memory bait = terms();
        bait.gpuClass = "NVIDIA-T4";
        vm.assertTrue(post(bait) != offerId);
        bait = terms();
        bait.token = address(0xbad);
        vm.prank(provider);
        market.setFloor(bait.token, 0, 1);
        vm.assertTrue(post(bait) != offerId);
        vm.assertEq(market.offer(offerId).terms.token, address(token));
        vm.assertEq(market.offer(offerId).terms.gpuClass, terms().gpuClass);
    }

    function test_APriceRaisedInFrontOfAnOrderIsRefused() public {
        vm.prank(operator);
        market.updateOffer(offerId, PRICE + 1, AVAILABLE, type(uint64).max);
        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.PriceAboveMax.selector, PRICE + 1, PRICE));
        open(1, 3600, 0);
    }

    function test_APriceRaisedAfterAnOrderChangesNoClaimAndNoRefund() public {
        JobId id = running();
        vm.prank(operator);
        market.updateOffer(offerId, PRICE * 1000, 0, 0);
        vm.warp(T0 + 3600);
        claim(id, 3600);
        end(id, 0, 3600);
        vm.assertEq(creditOf(provider) + feesOf(sink), 2e6);
        vm.assertEq(creditOf(customer), 2e6);
    }

    /// @dev Two terms whose hashes share the 64 bits of an id can be ground; here the stored salt is changed instead.
    function test_TermsThatCollideWithAnotherOffersIdAreRefused() public {
        bytes32 salt = 0;
        for (uint256 slot = 0; slot < 16 && salt == 0; ++slot) {
            uint256 place = uint256(keccak256(abi.encode(OfferId.unwrap(offerId), slot)));
            if (address(uint160(uint256(vm.load(address(market), bytes32(place))))) == provider) {
                salt = bytes32(place + 5);
            }
        }
        vm.assertTrue(salt != 0);
        vm.store(address(market), salt, "ground");
        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.TermsMismatch.selector, offerId));
        post(terms());
        // Before anything else that is wrong with it.
        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.TermsMismatch.selector, offerId));
        vm.prank(operator);
        market.setOffer(terms(), type(uint128).max, AVAILABLE, type(uint64).max, "");
    }
}
