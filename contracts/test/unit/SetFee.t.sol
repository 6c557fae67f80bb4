// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarket} from "../../src/interfaces/IComputeMarket.sol";
import {JobId} from "../../src/types/JobId.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {vm} from "../support/Vm.sol";

contract SetFeeTest is MarketTest {
    function setFee(address by, uint16 bps, address to) private {
        vm.prank(by);
        market.setFee(bps, to);
    }

    function test_TheOwnerSetsFeeAndSink() public {
        vm.expectEmit(address(market));
        emit IComputeMarket.FeeSet(1000, stranger);
        setFee(owner, 1000, stranger);
        (uint16 bps, address to) = market.fee();
        vm.assertEq(bps, 1000);
        vm.assertEq(to, stranger);
    }

    function test_NobodyElseDoes() public {
        vm.expectRevert(abi.encodeWithSignature("OwnableUnauthorizedAccount(address)", stranger));
        setFee(stranger, 0, stranger);
    }

    function test_TheCapHolds() public {
        vm.expectRevert(abi.encodeWithSelector(IComputeMarket.FeeTooHigh.selector, 1001, 1000));
        setFee(owner, 1001, sink);
    }

    function test_AFeeNeedsASink() public {
        vm.expectRevert(abi.encodeWithSelector(IComputeMarket.ZeroFeeSink.selector));
        setFee(owner, 1, address(0));
        setFee(owner, 0, address(0));
    }

    function test_WithoutAFeeTheProviderGetsAll() public {
        setFee(owner, 0, address(0));
        JobId id = running();
        vm.warp(T0 + 3600);
        claim(id, 7200);
        vm.assertEq(creditOf(provider), 4e6);
        vm.assertEq(creditOf(address(0)), 0);
    }

    function test_ANewFeeHoldsForNewClaimsOnly() public {
        JobId id = running();
        vm.warp(T0 + 3600);
        claim(id, 3600);
        setFee(owner, 1000, stranger);
        claim(id, 7200);
        vm.assertEq(creditOf(sink), 50_000);
        vm.assertEq(creditOf(stranger), 200_000);
        vm.assertEq(creditOf(provider), 4e6 - 250_000);
    }
}
