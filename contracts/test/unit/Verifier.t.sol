// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarketErrors} from "../../src/interfaces/IComputeMarketErrors.sol";
import {IComputeMarketEvents} from "../../src/interfaces/IComputeMarketEvents.sol";
import {IVerifier} from "../../src/interfaces/IVerifier.sol";
import {JobStatus, SkipReason} from "../../src/types/Job.sol";
import {JobId} from "../../src/types/JobId.sol";
import {OfferTerms} from "../../src/types/Offer.sol";
import {LastVoucher, Voucher} from "../../src/types/Voucher.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {vm} from "../support/Vm.sol";

/// @notice Accepts a voucher whose proof is a hash of all that it is told; may misbehave for one job.
contract Checking is IVerifier {
    bytes32 public bad;
    uint256 public mood;
    address private market;

    function set(JobId bad_, uint256 mood_, address market_) external {
        (bad, mood, market) = (JobId.unwrap(bad_), mood_, market_);
    }

    function isValid(JobId id, uint256 gpuSeconds, bytes32 evidenceRoot, bytes calldata proof)
        external
        view
        returns (bool)
    {
        if (JobId.unwrap(id) == bad) {
            if (mood == 1) revert("no");
            if (mood == 2) while (true) {}
            if (mood == 3) answer(2, 0x20);
            if (mood == 4) answer(1, 0x40);
            if (mood == 5) answer(1, 0x1f);
            if (mood == 6) answer(1, 1_000_000);
            if (mood == 7) answer(1, 0);
            if (mood == 8) {
                (bool ok,) = market.staticcall(abi.encodeWithSignature("cancelOrders(uint256[])", new uint256[](1)));
                return !ok && false;
            }
        }
        return keccak256(proof) == keccak256(abi.encode(id, gpuSeconds, evidenceRoot));
    }

    function answer(uint256 word, uint256 size) private pure {
        assembly ("memory-safe") {
            mstore(0x80, word)
            return(0x80, size)
        }
    }
}

/// @notice Needs nearly all of the gas that it is given.
contract Slow is IVerifier {
    function isValid(JobId, uint256, bytes32, bytes calldata) external view returns (bool) {
        uint256 end = gasleft() - 380_000;
        while (gasleft() > end) {}
        return true;
    }
}

contract VerifierTest is MarketTest {
    Checking private verifier;

    function setUp() public override {
        super.setUp();
        verifier = new Checking();
        offerId = post(verified(address(verifier)));
    }

    function verified(address by) private view returns (OfferTerms memory t) {
        t = terms();
        t.verifier = by;
    }

    function proofOf(Voucher memory voucher) private view returns (bytes memory) {
        return abi.encode(voucher.use.job(offerId), voucher.use.gpuSeconds(), voucher.evidenceRoot);
    }

    function three() private returns (Voucher[] memory vouchers, bytes[] memory proofs) {
        (vouchers, proofs) = (new Voucher[](3), new bytes[](3));
        for (uint256 i = 0; i < 3; ++i) {
            JobId id = open(1, 3600, bytes32(i));
            start(id);
            vouchers[i] = sign(id, uint64(100 + i));
            proofs[i] = proofOf(vouchers[i]);
        }
        vm.warp(T0 + 1800);
    }

    function test_AVoucherIsPaidWithItsProofAlone() public {
        (Voucher[] memory vouchers, bytes[] memory proofs) = three();
        proofs[1] = proofs[0];
        expectSkip(vouchers[1].use.job(offerId), SkipReason.Unverified);
        vm.assertEq(market.claim(offerId, vouchers, proofs), 2);
        for (uint256 i = 0; i < 3; ++i) {
            vm.assertEq(market.job(vouchers[i].use.job(offerId)).used, i == 1 ? 0 : 100 + i);
        }
        vm.assertEq(market.claim(offerId, vouchers, noProofs()), 0);
        proofs[1] = proofOf(vouchers[1]);
        vm.assertEq(market.claim(offerId, vouchers, proofs), 1);
    }

    /// @dev The attestor's signature is needed all the same.
    function test_AProofIsNoSignature() public {
        JobId id = open(1, 3600, 0);
        start(id);
        vm.warp(T0 + 1800);
        Voucher memory forged = signAs(0xBAD, id, 100);
        bytes[] memory proofs = new bytes[](1);
        proofs[0] = proofOf(forged);
        expectSkip(id, SkipReason.BadSignature);
        vm.assertEq(market.claim(offerId, one(forged), proofs), 0);
    }

    /// @dev Whatever a verifier does for one voucher, the others are paid.
    function test_ABadAnswerSkipsItsOwnVoucherAlone() public {
        (Voucher[] memory vouchers, bytes[] memory proofs) = three();
        JobId bad = vouchers[1].use.job(offerId);
        uint256 fork = vm.snapshotState();
        for (uint256 mood = 1; mood <= 8; ++mood) {
            vm.revertToState(fork);
            fork = vm.snapshotState();
            verifier.set(bad, mood, address(market));
            expectSkip(bad, SkipReason.Unverified);
            uint256 before = gasleft();
            vm.assertEq(market.claim(offerId, vouchers, proofs), 2);
            vm.assertLe(before - gasleft(), 900_000, "the batch's gas");
            vm.assertEq(market.job(bad).used, 0);
        }
        vm.assertEq(market.VERIFIER_GAS(), 400_000);
    }

    function test_AVerifierWithoutCodeAcceptsNothing() public {
        offerId = post(verified(address(0xdead)));
        (Voucher[] memory vouchers, bytes[] memory proofs) = three();
        expectSkip(vouchers[0].use.job(offerId), SkipReason.Unverified);
        vm.assertEq(market.claim(offerId, vouchers, proofs), 0);
    }

    /// @dev What nobody can be paid for goes back to the customer in the end.
    function test_TheLastVoucherNeedsItsProofTooAndAnEndDoesNot() public {
        (Voucher[] memory vouchers, bytes[] memory proofs) = three();
        LastVoucher[] memory all = new LastVoucher[](3);
        JobId[] memory ids = new JobId[](3);
        for (uint256 i = 0; i < 3; ++i) {
            ids[i] = vouchers[i].use.job(offerId);
            all[i] = last(vouchers[i], ref(ids[i]));
        }
        (proofs[0], proofs[2]) = ("", "");
        expectSkip(ids[0], SkipReason.Unverified);
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.JobSettled(ids[1], customer, 2e6 - uint256(PRICE) * 101 / 3600);
        expectSkip(ids[2], SkipReason.Unverified);
        vm.prank(operator);
        vm.assertEq(market.settle(offerId, all, proofs), 1);
        assertStatus(ids[0], JobStatus.Running);
        vm.assertEq(end(ids[0], 0, 0), 1);
        // Claimed with a proof before, it is closed without one.
        market.claim(offerId, one(vouchers[2]), oneProof(proofOf(vouchers[2])));
        vm.prank(operator);
        vm.assertEq(market.settle(offerId, all, noProofs()), 1);
        assertStatus(ids[2], JobStatus.Closed);
    }

    function oneProof(bytes memory proof) private pure returns (bytes[] memory proofs) {
        proofs = new bytes[](1);
        proofs[0] = proof;
    }

    /// @dev Whoever claims chooses how much gas there is: with too little of it the call fails, and no voucher is refused.
    function test_TooLittleGasRefusesNoVoucher() public {
        offerId = post(verified(address(new Slow())));
        JobId id = open(1, 3600, 0);
        start(id);
        vm.warp(T0 + 1800);
        bytes memory call = abi.encodeCall(market.claim, (offerId, one(sign(id, 100)), noProofs()));
        uint256 fork = vm.snapshotState();
        (uint256 failed, uint256 paid) = (0, 0);
        for (uint256 gas = 300_000; gas <= 600_000; gas += 2500) {
            (bool ok, bytes memory answer) = address(market).call{gas: gas}(call);
            vm.assertEq(ok && abi.decode(answer, (uint256)) == 0 ? 1 : 0, 0, "skipped for want of gas");
            if (ok) ++paid;
            else if (bytes4(answer) == IComputeMarketErrors.TooLittleGas.selector) ++failed;
            vm.revertToState(fork);
            fork = vm.snapshotState();
        }
        vm.assertTrue(failed > 10 && paid > 10);
    }

    function test_AnOfferShowsItsVerifier() public view {
        vm.assertEq(market.offer(offerId).terms.verifier, address(verifier));
    }
}
