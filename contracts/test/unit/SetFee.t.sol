// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarket} from "../../src/interfaces/IComputeMarket.sol";
import {IComputeMarketErrors} from "../../src/interfaces/IComputeMarketErrors.sol";
import {IComputeMarketEvents} from "../../src/interfaces/IComputeMarketEvents.sol";
import {JobId} from "../../src/types/JobId.sol";
import {OfferTerms} from "../../src/types/Offer.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {Vm, vm} from "../support/Vm.sol";

contract SetFeeTest is MarketTest {
    function setFee(address by, uint16 bps, address to) private {
        vm.prank(by);
        market.setFee(bps, to);
    }

    function assertFee(uint256 bps, address to) private view {
        (uint16 holds, address receiver) = market.fee();
        vm.assertEq(holds, bps, "fee that holds");
        vm.assertEq(receiver, to);
    }

    function assertAnnounced(uint256 bps, uint256 from) private view {
        (uint16 announced, uint64 second) = market.announcedFee();
        vm.assertEq(announced, bps, "announced fee");
        vm.assertEq(second, from, "its date");
    }

    function expectRaise(uint16 bps, uint256 from) private {
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.FeeRaiseAnnounced(bps, uint64(from));
    }

    function test_TheFirstFeeHoldsAtOnce() public view {
        assertFee(FEE_BPS, sink);
        assertAnnounced(FEE_BPS, T0);
    }

    function test_TheFirstFeeIsLogged() public {
        vm.recordLogs();
        IComputeMarket other = deployMarket(77, stranger);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        uint256 seen = 0;
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].emitter != address(other) || logs[i].topics[0] != IComputeMarketEvents.FeeSet.selector) {
                continue;
            }
            vm.assertEq(logs[i].topics[1], bytes32(uint256(uint160(stranger))));
            vm.assertEq(abi.decode(logs[i].data, (uint256)), 77);
            ++seen;
        }
        vm.assertEq(seen, 1);
    }

    function test_TheFirstFeeNeedsASinkAndZeroNeedsNone() public {
        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.ZeroFeeSink.selector));
        deployMarket(1, address(0));
        IComputeMarket free = deployMarket(0, address(0));
        (uint16 bps,) = free.fee();
        vm.assertEq(bps, 0);
    }

    /// @dev Set again as it is, nothing is announced.
    function test_TheSameFeeIsNoRaise() public {
        vm.warp(T0 + 5);
        vm.recordLogs();
        setFee(owner, FEE_BPS, stranger);
        vm.assertEq(vm.getRecordedLogs().length, 1);
        assertFee(FEE_BPS, stranger);
        assertAnnounced(FEE_BPS, T0 + 5);
    }

    function test_TheCapItselfIsAllowed() public {
        deployMarket(1000, sink);
        setFee(owner, 1000, sink);
        assertAnnounced(1000, T0 + market.FEE_NOTICE());
    }

    function test_ALowerFeeAndAnotherReceiverHoldAtOnce() public {
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.FeeSet(100, stranger);
        setFee(owner, 100, stranger);
        assertFee(100, stranger);
        assertAnnounced(100, T0);
    }

    function test_AHigherFeeHoldsAfterItsNotice() public {
        uint64 from = uint64(T0 + market.FEE_NOTICE());
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.FeeSet(FEE_BPS, stranger);
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.FeeRaiseAnnounced(1000, from);
        setFee(owner, 1000, stranger);
        assertFee(FEE_BPS, stranger);
        assertAnnounced(1000, from);
        vm.warp(from - 1);
        assertFee(FEE_BPS, stranger);
        vm.warp(from);
        assertFee(1000, stranger);
    }

    function test_ARaiseSetAgainOrToLessKeepsItsDate() public {
        uint256 from = T0 + market.FEE_NOTICE();
        setFee(owner, 1000, sink);
        vm.warp(T0 + 1 days);
        expectRaise(1000, from);
        setFee(owner, 1000, stranger);
        assertAnnounced(1000, from);
        expectRaise(600, from);
        setFee(owner, 600, stranger);
        assertAnnounced(600, from);
        expectRaise(601, from + 1 days);
        setFee(owner, 601, stranger);
        assertAnnounced(601, from + 1 days);
        assertFee(FEE_BPS, stranger);
    }

    function test_ARaiseCanBeTakenBack() public {
        setFee(owner, 1000, sink);
        vm.warp(T0 + 1 days);
        setFee(owner, FEE_BPS, sink);
        assertAnnounced(FEE_BPS, T0 + 1 days);
        vm.warp(T0 + 2 * uint256(market.FEE_NOTICE()));
        assertFee(FEE_BPS, sink);
    }

    function test_AfterARaiseTheNextOneHasANoticeToo() public {
        setFee(owner, 500, sink);
        vm.warp(T0 + market.FEE_NOTICE());
        setFee(owner, 1000, sink);
        assertFee(500, sink);
        setFee(owner, 0, address(0));
        assertFee(0, address(0));
        setFee(owner, 1, sink);
        assertFee(0, sink);
    }

    /// @dev The longest windows and the longest order that an offer can have, started and claimed in their last seconds.
    function test_NoOrderFeelsARaiseThatWasAnnouncedAfterIt() public {
        OfferTerms memory t = terms();
        (t.startWindow, t.claimWindow, t.maxDuration) = (18 hours, 30 days, type(uint24).max);
        offerId = post(t);
        fund(customer, 1e15);
        JobId id = open(1, 120, 0);
        setFee(owner, 1000, sink);
        vm.warp(T0 + 18 hours);
        start(id);
        vm.prank(customer);
        market.topUp(id, type(uint24).max - 120);
        vm.warp(T0 + 18 hours + type(uint24).max + 30 days);
        vm.assertEq(claim(id, type(uint24).max), 1);
        vm.assertEq(feesOf(sink), market.job(id).paid * FEE_BPS / 10_000);
        vm.warp(block.timestamp + 1);
        assertFee(1000, sink);
        vm.assertEq(claim(id, type(uint24).max), 0);
    }

    function test_NobodyElseDoes() public {
        vm.expectRevert(abi.encodeWithSignature("OwnableUnauthorizedAccount(address)", stranger));
        setFee(stranger, 0, stranger);
    }

    function test_TheCapHolds() public {
        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.FeeTooHigh.selector, 1001, 1000));
        setFee(owner, 1001, sink);
        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.FeeTooHigh.selector, 1001, 1000));
        deployMarket(1001, sink);
    }

    function test_AFeeNeedsASink() public {
        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.ZeroFeeSink.selector));
        setFee(owner, 1, address(0));
        setFee(owner, 0, address(0));
    }

    function test_WithoutAFeeTheProviderGetsAll() public {
        setFee(owner, 0, address(0));
        JobId id = running();
        vm.warp(T0 + 3600);
        claim(id, 7200);
        vm.assertEq(creditOf(provider), 4e6);
        vm.assertEq(creditOf(address(0)) + feesOf(address(0)), 0);
    }

    function test_ALowerFeeHoldsForNewClaimsOnly() public {
        JobId id = running();
        vm.warp(T0 + 3600);
        claim(id, 3600);
        setFee(owner, 100, stranger);
        claim(id, 7200);
        vm.assertEq(feesOf(sink), 50_000);
        vm.assertEq(feesOf(stranger), 20_000);
        vm.assertEq(creditOf(provider), 4e6 - 70_000);
    }

    /// @dev It could neither call nor be sent anything.
    function test_TheMarketItselfIsNoReceiver() public {
        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.AccountIsTheMarket.selector));
        setFee(owner, 0, address(market));
    }
}
