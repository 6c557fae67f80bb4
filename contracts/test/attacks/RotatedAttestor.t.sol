// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarket} from "../../src/interfaces/IComputeMarket.sol";
import {SkipReason} from "../../src/types/Job.sol";
import {JobId} from "../../src/types/JobId.sol";
import {Voucher} from "../../src/types/Voucher.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {vm} from "../support/Vm.sol";

/// @notice A rotation makes the earlier attestor's vouchers worthless. An operator that needs them claims first.
contract RotatedAttestorTest is MarketTest {
    uint256 private constant NEXT_KEY = 0xBEEF;

    function rotation(JobId id) private view returns (bytes memory) {
        address[] memory signers = new address[](1);
        signers[0] = vm.addr(NEXT_KEY);
        return abi.encodeCall(market.startJobs, (one(id), signers));
    }

    function test_AVoucherOfTheEarlierAttestorIsLostUnlessClaimedFirst() public {
        JobId id = running();
        vm.warp(T0 + 1000);
        Voucher memory last = sign(id, 2000);
        uint256 before = vm.snapshotState();
        startAs(id, vm.addr(NEXT_KEY));
        expectSkip(id, SkipReason.BadSignature);
        vm.assertEq(market.claim(offerId, one(last), noProofs()), 0);

        vm.revertToState(before);
        bytes[] memory calls = new bytes[](2);
        calls[0] = abi.encodeCall(market.claim, (offerId, one(last), noProofs()));
        calls[1] = rotation(id);
        multicall(operator, calls);
        vm.assertEq(market.job(id).used, 2000);
        vm.assertEq(market.job(id).attestor, tailOf(vm.addr(NEXT_KEY)));
    }

    /// @dev Counts are of the job, not of the attestor: what the next one signs below the claimed count pays nothing.
    function test_TheNextAttestorGoesOnFromTheCount() public {
        JobId id = running();
        vm.warp(T0 + 1000);
        claim(id, 1500);
        startAs(id, vm.addr(NEXT_KEY));
        expectSkip(id, SkipReason.Stale);
        vm.assertEq(market.claim(offerId, one(signAs(NEXT_KEY, id, 1500)), noProofs()), 0);
        vm.assertEq(market.claim(offerId, one(signAs(NEXT_KEY, id, 1501)), noProofs()), 1);
        vm.assertEq(market.job(id).used, 1501);
    }
}
