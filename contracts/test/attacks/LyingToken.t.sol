// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarketErrors as Errors} from "../../src/interfaces/IComputeMarketErrors.sol";
import {JobStatus} from "../../src/types/Job.sol";
import {JobId} from "../../src/types/JobId.sol";
import {OfferTerms} from "../../src/types/Offer.sol";
import {OfferId} from "../../src/types/OfferId.sol";
import {HostileTokenTest} from "../support/HostileTokenTest.sol";
import {vm} from "../support/Vm.sol";

/// @notice A token that says that it moved what it didn't: credit in it is worth nothing, and harms nobody else.
contract LyingTokenTest is HostileTokenTest {
    JobId private theirs;
    JobId private good;

    function setUp() public override {
        super.setUp();
        theirs = open(1, 3600, "in the token that lies");
        OfferTerms memory other = terms();
        other.token = address(honest);
        OfferId honestOffer = post(other);
        honest.mint(customer, 1e12);
        vm.prank(customer);
        honest.approve(address(market), type(uint256).max);
        good = place(customer, orderOf(honestOffer, customer, 1, 3600, PRICE, 0, ""), "");
    }

    function test_NobodyIsCreditedSoMuchThatARefundOverflows() public {
        hostile.setLie(address(market));
        uint256[2] memory amounts = [uint256(2 ** 128), type(uint256).max];
        for (uint256 i = 0; i < 2; ++i) {
            vm.expectRevert(abi.encodeWithSelector(Errors.AmountTooHigh.selector, amounts[i], type(uint128).max));
            vm.prank(stranger);
            market.deposit(customer, address(hostile), amounts[i]);
        }
    }

    /// @dev The whole batch goes through: the job in the token that lies, and the one beside it.
    function test_ABatchOfRefundsGoesOnBesideTheMostThatATokenCanSay() public {
        hostile.setLie(address(market));
        vm.prank(stranger);
        market.deposit(customer, address(hostile), type(uint128).max);
        vm.assertEq(market.credit(customer, address(hostile)), type(uint128).max);
        vm.warp(T0 + START_WINDOW + 1);
        JobId[] memory ids = new JobId[](2);
        (ids[0], ids[1]) = (theirs, good);
        vm.assertEq(market.refund(refs(ids)), 2);
        assertStatus(good, JobStatus.Closed);
        vm.assertEq(market.credit(customer, address(honest)), 2e6);
        vm.assertEq(market.credit(customer, address(hostile)), uint256(type(uint128).max) + 2e6);
    }
}
