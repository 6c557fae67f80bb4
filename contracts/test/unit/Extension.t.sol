// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarket} from "../../src/interfaces/IComputeMarket.sol";
import {IComputeMarketErrors as Errors} from "../../src/interfaces/IComputeMarketErrors.sol";
import {OfferId} from "../../src/types/OfferId.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {vm} from "../support/Vm.sol";

interface Halves {
    function EXTENSION() external view returns (address);
    function owner() external view returns (address);
}

/// @notice The half of the market's code that lies elsewhere is of no use by itself, and can't be exchanged.
contract ExtensionTest is MarketTest {
    function extension() private view returns (IComputeMarket) {
        return IComputeMarket(Halves(address(market)).EXTENSION());
    }

    function test_NothingCanBeOrderedThere() public {
        IComputeMarket other = extension();
        vm.assertTrue(address(other) != address(market) && address(other).code.length != 0);
        vm.assertEq(other.sunset(), 1);
        vm.prank(provider);
        other.setProvider(operator, payout);
        vm.prank(provider);
        other.setFloor(address(token), 0, 1);
        vm.prank(operator);
        OfferId posted = other.setOffer(terms(), PRICE, AVAILABLE, type(uint64).max, "");
        vm.assertEq(other.offer(posted).validUntil, 1);
        vm.assertEq(Halves(address(other)).owner(), address(1));
        vm.expectRevert("");
        vm.prank(customer);
        other.deposit(customer, address(token), 1);
        // And nothing of it is seen in the market.
        vm.expectRevert(abi.encodeWithSelector(Errors.UnknownOffer.selector, posted));
        market.offer(posted);
    }

    function test_WhatNeitherHalfKnowsFails() public {
        (bool ok, bytes memory why) = address(market).call(abi.encodeWithSignature("upgradeTo(address)", stranger));
        vm.assertFalse(ok);
        vm.assertEq(why, abi.encodeWithSignature("FailedCall()"));
        (ok,) = address(market).call("");
        vm.assertFalse(ok);
    }

    /// @dev The market takes no ether, by no call of either half.
    function test_NoEtherIsTaken() public {
        vm.deal(address(this), 3);
        (bool ok,) = address(market).call{value: 1}("");
        vm.assertFalse(ok);
        (ok,) = address(market).call{value: 1}(abi.encodeCall(market.sunset, ()));
        vm.assertFalse(ok);
        (ok,) = address(market).call{value: 1}(abi.encodeCall(market.cancelOrders, (new uint256[](0))));
        vm.assertFalse(ok);
        vm.assertEq(address(market).balance, 0);
    }

    /// @dev What an error of the extension says arrives as it is, also out of a `multicall`.
    function test_ErrorsOfTheExtensionArriveAsTheyAre() public {
        bytes[] memory calls = new bytes[](1);
        calls[0] = abi.encodeCall(market.offer, (OfferId.wrap("none")));
        vm.expectRevert(abi.encodeWithSelector(Errors.UnknownOffer.selector, OfferId.wrap("none")));
        multicall(stranger, calls);
        vm.expectRevert(abi.encodeWithSignature("OwnableUnauthorizedAccount(address)", stranger));
        vm.prank(stranger);
        market.setFee(0, stranger);
    }
}
