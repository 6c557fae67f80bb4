// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarketErrors} from "../../src/interfaces/IComputeMarketErrors.sol";
import {IComputeMarketEvents} from "../../src/interfaces/IComputeMarketEvents.sol";
import {Offer, OfferTerms} from "../../src/types/Offer.sol";
import {OfferId} from "../../src/types/OfferId.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {vm} from "../support/Vm.sol";

contract SetFloorTest is MarketTest {
    function setFloor(uint128 price) private {
        vm.prank(provider);
        market.setFloor(address(token), 0, price);
    }

    function test_AFloorIsStoredAndLogged() public {
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.FloorSet(provider, address(token), 0, 7);
        setFloor(7);
        vm.assertEq(market.floor(provider, address(token), 0), 7);
    }

    function test_ARefusedTokenTakesNoOrdersFromThenOn() public {
        setFloor(0);
        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.TokenRefused.selector, provider, address(token)));
        open(1, 3600, 0);
    }

    function test_ARaisedFloorStopsOffersThatAThiefMadeCheap() public {
        setFloor(PRICE + 1);
        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.PriceBelowFloor.selector, PRICE, PRICE + 1));
        open(1, 3600, 0);
    }

    function shown() private view returns (uint256) {
        Offer[] memory page = market.offersOf(provider, 0, 1);
        vm.assertEq(page[0].available, market.offer(offerId).available);
        return page[0].available;
    }

    /// @dev Whoever looks at an offer sees that it takes no orders.
    function test_AnOfferBelowItsFloorShowsNothingAvailable() public {
        setFloor(PRICE);
        vm.assertEq(shown(), AVAILABLE);
        open(1, 3600, 0);
        setFloor(PRICE + 1);
        vm.assertEq(shown(), 0);
        vm.assertEq(market.offer(offerId).price, PRICE);
        vm.prank(operator);
        market.updateOffer(offerId, PRICE + 1, AVAILABLE, type(uint64).max);
        vm.assertEq(shown(), AVAILABLE);
        setFloor(0);
        vm.assertEq(shown(), 0);
        setFloor(1);
        vm.assertEq(shown(), AVAILABLE);
    }

    function test_AFloorIsOfOneProviderAndOneToken() public {
        vm.prank(stranger);
        market.setFloor(address(token), 0, PRICE + 1);
        vm.prank(provider);
        market.setFloor(stranger, 0, PRICE + 1);
        vm.assertEq(market.floor(provider, address(token), 0), 1);
        vm.assertEq(shown(), AVAILABLE);
        open(1, 3600, 0);
    }

    bytes32 private constant H100 = "NVIDIA-H100-80GB-HBM3";

    function setFloorOf(bytes32 gpuClass, uint128 price) private {
        vm.prank(provider);
        market.setFloor(address(token), gpuClass, price);
    }

    function refused(bytes memory why) private {
        vm.expectRevert(why);
        open(1, 3600, 0);
    }

    function test_AClassHasAFloorOfItsOwn() public {
        OfferTerms memory cheap = terms();
        cheap.gpuClass = "NVIDIA-T4";
        OfferId t4 = post(cheap);
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.FloorSet(provider, address(token), H100, PRICE + 1);
        setFloorOf(H100, PRICE + 1);
        vm.assertEq(market.floor(provider, address(token), H100), PRICE + 1);
        vm.assertEq(market.floor(provider, address(token), "NVIDIA-T4"), 1);
        vm.assertEq(shown(), 0);
        vm.assertEq(market.offer(t4).available, AVAILABLE);
        refused(abi.encodeWithSelector(IComputeMarketErrors.PriceBelowFloor.selector, PRICE, PRICE + 1));
        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.PriceBelowFloor.selector, PRICE, PRICE + 1));
        post(terms());
        place(customer, orderOf(t4, customer, 1, 3600, PRICE, 0, ""), "");
    }

    /// @dev Also below the floor of the others, and where the token is refused for them.
    function test_AClassesOwnFloorStandsForTheCommonOne() public {
        setFloorOf(H100, PRICE);
        setFloor(PRICE + 1);
        open(1, 3600, "a");
        setFloor(0);
        open(1, 3600, "b");
        vm.assertEq(market.floor(provider, address(token), 0), 0);
        setFloorOf(H100, 0);
        refused(abi.encodeWithSelector(IComputeMarketErrors.TokenRefused.selector, provider, address(token)));
        setFloor(PRICE);
        open(1, 3600, "c");
        setFloorOf(H100, type(uint128).max);
        refused(abi.encodeWithSelector(IComputeMarketErrors.PriceBelowFloor.selector, PRICE, type(uint128).max));
        // Where another class has one, this one still has the common one.
        setFloorOf(H100, 0);
        setFloorOf("NVIDIA-T4", type(uint128).max);
        open(1, 3600, "d");
        setFloor(PRICE + 1);
        refused(abi.encodeWithSelector(IComputeMarketErrors.PriceBelowFloor.selector, PRICE, PRICE + 1));
    }
}
