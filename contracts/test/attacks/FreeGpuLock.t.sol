// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarketErrors} from "../../src/interfaces/IComputeMarketErrors.sol";
import {JobStatus} from "../../src/types/Job.sol";
import {JobId} from "../../src/types/JobId.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {vm} from "../support/Vm.sol";

/// @notice Orders that cost nothing would keep GPUs from paying customers.
contract FreeGpuLockTest is MarketTest {
    function test_AnOrderForNothingCantBeMade() public {
        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.PriceBelowFloor.selector, 0, 1));
        vm.prank(operator);
        market.updateOffer(offerId, 0, AVAILABLE, type(uint64).max);
        vm.prank(operator);
        market.updateOffer(offerId, 1, AVAILABLE, type(uint64).max);
        uint256 before = token.balanceOf(customer);
        open(1, MIN_DURATION, 0);
        vm.assertEq(before - token.balanceOf(customer), 1);
    }

    function test_OrdersTakeNothingFromWhatIsOffered() public {
        for (uint256 i = 0; i < 20; ++i) {
            open(AVAILABLE, 3600, bytes32(i));
        }
        vm.assertEq(market.offer(offerId).available, AVAILABLE);
        fund(stranger, 2e6);
        place(stranger, orderOf(offerId, stranger, 1, 3600, PRICE, 0, "{}"), "{}");
    }

    function test_TheProviderTurnsAFloodDownInOneCall() public {
        JobId[] memory ids = new JobId[](20);
        for (uint256 i = 0; i < 20; ++i) {
            ids[i] = open(AVAILABLE, 3600, bytes32(i));
        }
        vm.prank(operator);
        vm.assertEq(market.declineJobs(refs(ids), "sold out"), 20);
        vm.assertEq(creditOf(customer), 20 * 8 * 2e6);
    }

    /// @dev Ended in its first second, a job pays for its shortest duration.
    function test_AStartedJobPaysForItsShortestDuration() public {
        JobId id = running();
        vm.prank(customer);
        vm.assertEq(market.endJob(ref(id)), T0 + MIN_DURATION);
        vm.warp(T0 + MIN_DURATION);
        claim(id, type(uint64).max);
        vm.assertEq(market.job(id).used, 2 * MIN_DURATION);
        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.WrongStatus.selector, id, JobStatus.Ended));
        vm.prank(customer);
        market.endJob(ref(id));
    }

    /// @dev The deposit lies still as long as the GPUs do.
    function test_TheDepositCantBeTakenBackWhileTheProviderMayStart() public {
        JobId id = open(2, 3600, 0);
        vm.warp(T0 + START_WINDOW);
        vm.prank(customer);
        vm.assertEq(market.refund(refs(one(id))), 0);
        vm.expectRevert(
            abi.encodeWithSelector(IComputeMarketErrors.NothingToWithdraw.selector, customer, address(token))
        );
        vm.prank(customer);
        market.withdraw(address(token), customer, type(uint256).max);
        start(id);
    }
}
