// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarketErrors} from "../../src/interfaces/IComputeMarketErrors.sol";
import {JobId} from "../../src/types/JobId.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {vm} from "../support/Vm.sol";

interface TwoStepOwned {
    function owner() external view returns (address);
    function transferOwnership(address to) external;
    function acceptOwnership() external;
    function renounceOwnership() external;
}

/// @notice The owner's role passes on in two steps, and gives no way to anybody's tokens.
contract OwnershipTest is MarketTest {
    function owned() private view returns (TwoStepOwned) {
        return TwoStepOwned(address(market));
    }

    function test_ItPassesOnWhenTheNextOneAccepts() public {
        vm.prank(owner);
        owned().transferOwnership(stranger);
        vm.assertEq(owned().owner(), owner);
        vm.prank(stranger);
        owned().acceptOwnership();
        vm.assertEq(owned().owner(), stranger);
        vm.prank(stranger);
        market.setFee(0, address(0));
    }

    function test_GivenUpTheFeeStaysAsItIs() public {
        vm.prank(owner);
        owned().renounceOwnership();
        vm.expectRevert(abi.encodeWithSignature("OwnableUnauthorizedAccount(address)", owner));
        vm.prank(owner);
        market.setFee(0, address(0));
        (uint16 bps,) = market.fee();
        vm.assertEq(bps, FEE_BPS);
    }

    function test_TheOwnerIsAStrangerToJobsAndCredit() public {
        JobId id = running();
        vm.warp(T0 + 600);
        claim(id, 600);
        vm.prank(owner);
        vm.assertEq(market.endJobs(refs(one(id)), 0, new uint64[](1), ""), 0);
        vm.prank(owner);
        vm.assertEq(market.startJobs(one(id), new address[](1)), 0);
        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.NotCustomer.selector, id, owner));
        vm.prank(owner);
        market.endJob(ref(id));
        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.NotOperator.selector, owner, provider));
        vm.prank(owner);
        market.withdrawFor(provider, address(token));
        vm.expectRevert(abi.encodeWithSelector(IComputeMarketErrors.NothingToWithdraw.selector, owner, address(token)));
        vm.prank(owner);
        market.withdraw(address(token), owner, type(uint256).max);
    }
}
