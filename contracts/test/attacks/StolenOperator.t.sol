// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarketErrors} from "../../src/interfaces/IComputeMarketErrors.sol";
import {JobId} from "../../src/types/JobId.sol";
import {OfferTerms} from "../../src/types/Offer.sol";
import {OfferId} from "../../src/types/OfferId.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {vm} from "../support/Vm.sol";

interface Storage {
    function load(address account, bytes32 slot) external view returns (bytes32);
    function store(address account, bytes32 slot, bytes32 value) external;
}

/// @notice What a thief of the hot key can't do, and what the cold key does about the rest.
contract StolenOperatorTest is MarketTest {
    function test_EarningsStillGoToThePayoutAddress() public {
        JobId id = running();
        vm.warp(T0 + 1000);
        claim(id, 1800);
        vm.expectRevert(
            abi.encodeWithSelector(IComputeMarketErrors.NothingToWithdraw.selector, operator, address(token))
        );
        vm.prank(operator);
        market.withdraw(address(token), operator);
        vm.prank(operator);
        market.withdrawFor(provider, address(token));
        vm.assertEq(token.balanceOf(payout), 975_000);
    }

    function test_EndingAJobLosesOnlyWhatWasNotClaimed() public {
        JobId id = running();
        vm.warp(T0 + 1000);
        claim(id, 1800);
        vm.warp(T0 + 1060);
        end(id, 0, 0);
        vm.assertEq(creditOf(provider) + creditOf(sink), 1e6);
        vm.assertEq(creditOf(customer), 3e6);
    }

    function test_SigningForItselfPaysTheProviderWithinTheBounds() public {
        JobId id = running();
        vm.warp(T0 + 600);
        startAs(id, vm.addr(0x7417EF));
        market.claim(offerId, one(signAs(0x7417EF, id, type(uint64).max)));
        vm.assertEq(market.job(id).used, 1200);
        vm.assertEq(creditOf(operator), 0);
    }

    function test_ItCantTouchTheKeysOrTheFloor() public {
        vm.prank(operator);
        market.setProvider(operator, operator);
        vm.prank(operator);
        market.setFloor(address(token), 0);
        vm.assertEq(market.provider(provider).payout, payout);
        vm.assertEq(market.floor(provider, address(token)), 1);
    }

    function test_TheTermsOfAnOfferCantBeSwitchedUnderItsId() public {
        OfferTerms memory bait = terms();
        bait.gpuClass = "NVIDIA-T4";
        vm.assertTrue(post(bait) != offerId);
    }

    /// @dev Two terms whose hashes share 96 bits can be ground; here the stored salt is changed instead.
    function test_TermsThatCollideWithAnotherOffersIdAreRefused() public {
        Storage state = Storage(address(vm));
        bytes32 salt = 0;
        for (uint256 slot = 0; slot < 16 && salt == 0; ++slot) {
            uint256 place = uint256(keccak256(abi.encode(OfferId.unwrap(offerId), slot)));
            if (address(uint160(uint256(state.load(address(market), bytes32(place))))) == provider) {
                salt = bytes32(place + 4);
            }
        }
        vm.assertTrue(salt != 0);
        state.store(address(market), salt, "ground");
        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.TermsMismatch.selector, offerId));
        post(terms());
    }
}
