// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarketErrors} from "../../src/interfaces/IComputeMarketErrors.sol";
import {IComputeMarketEvents} from "../../src/interfaces/IComputeMarketEvents.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {vm} from "../support/Vm.sol";

contract SetFloorTest is MarketTest {
    function setFloor(uint256 price) private {
        vm.prank(provider);
        market.setFloor(address(token), price);
    }

    function test_AFloorIsStoredAndLogged() public {
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.FloorSet(provider, address(token), 7);
        setFloor(7);
        vm.assertEq(market.floor(provider, address(token)), 7);
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
}
