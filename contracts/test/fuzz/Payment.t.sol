// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {JobId, JobIdLibrary} from "../../src/types/JobId.sol";
import {JobState, JobStateLibrary} from "../../src/types/JobState.sol";
import {OfferTerms} from "../../src/types/Offer.sol";
import {OfferId} from "../../src/types/OfferId.sol";
import {Use, UseLibrary} from "../../src/types/Use.sol";
import {Voucher} from "../../src/types/Voucher.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {vm} from "../support/Vm.sol";

contract PaymentTest is MarketTest {
    /// @dev An order at any price for any number of GPUs and any time.
    function anyJob(uint80 price, uint16 gpus, uint24 duration) private returns (JobId id) {
        OfferTerms memory t = terms();
        t.minDuration = 0;
        t.maxDuration = type(uint24).max;
        vm.prank(operator);
        offerId = market.setOffer(t, price, type(uint16).max, type(uint64).max, "");
        fund(customer, 2 ** 120);
        id = place(customer, orderOf(offerId, customer, gpus, duration, price, 0, ""), "");
        start(id);
    }

    function testFuzz_EveryUnitEndsWithProviderCustomerOrFee(
        uint80 price,
        uint16 gpus,
        uint24 duration,
        uint40 used,
        uint24 passed
    ) public {
        price = uint80(bound(price, 1, type(uint80).max));
        gpus = uint16(bound(gpus, 1, 2 ** 15 - 1));
        duration = uint24(bound(duration, 1, type(uint24).max));
        JobId id = anyJob(price, gpus, duration);
        uint256 deposit = (uint256(price) * gpus * duration + 3599) / 3600;
        vm.assertEq(market.job(id).deposit, deposit);
        vm.assertEq(token.balanceOf(address(market)), deposit);

        vm.warp(T0 + bound(passed, 0, uint256(duration) + CLAIM_WINDOW));
        uint256 ran = bound(passed, 0, uint256(duration) + CLAIM_WINDOW);
        uint256 most = uint256(gpus) * (ran < duration ? ran : duration);
        uint256 counted = used < most ? used : most;
        claim(id, used);
        vm.assertEq(market.job(id).used, counted);
        vm.assertEq(market.job(id).paid, uint256(price) * counted / 3600);
        assertBooks(id);

        end(id, 0, uint64(counted));
        uint256 paid = uint256(price) * counted / 3600;
        vm.assertEq(feesOf(sink), paid * FEE_BPS / 10_000);
        vm.assertEq(creditOf(provider), paid - paid * FEE_BPS / 10_000);
        vm.assertEq(creditOf(customer), deposit - paid);
    }

    /// @dev The same vouchers, one market taking them one by one in any order, another all at once.
    function testFuzz_ClaimsInAnyOrderAndBatchingPayTheSame(uint64[8] memory counts, uint256 seed) public {
        JobId[] memory ids = new JobId[](2);
        for (uint256 i = 0; i < 2; ++i) {
            ids[i] = open(uint16(i + 1), 3600, bytes32(i));
            start(ids[i]);
        }
        vm.warp(T0 + 3600);
        for (uint256 i = 0; i < 8; ++i) {
            uint256 picked = (i * (2 * (seed % 4) + 1) + seed % 8) % 8;
            claim(ids[picked % 2], counts[picked] % 10_000);
        }
        uint256 provided = creditOf(provider);
        uint256 charged = feesOf(sink);

        setUp();
        for (uint256 i = 0; i < 2; ++i) {
            JobId id = open(uint16(i + 1), 3600, bytes32(i));
            ids[i] = id;
            start(id);
        }
        vm.warp(T0 + 3600);
        Voucher[] memory vouchers = new Voucher[](8);
        for (uint256 i = 0; i < 8; ++i) {
            vouchers[i] = sign(ids[i % 2], counts[i] % 10_000);
        }
        market.claim(offerId, vouchers, noProofs());
        vm.assertEq(creditOf(provider), provided);
        vm.assertEq(feesOf(sink), charged);
    }

    function testFuzz_OnlyTheAttestorsSignatureCounts(uint256 key, uint64 count) public {
        key = bound(key, 1, 2 ** 250);
        vm.assume(key != ATTESTOR_KEY);
        JobId id = running();
        vm.warp(T0 + 3600);
        vm.assertEq(market.claim(offerId, one(signAs(key, id, count)), noProofs()), 0);
    }

    function testFuzz_AJobIdGivesBackItsParts(
        bytes8 offer,
        uint80 price,
        uint16 gpus,
        address whose,
        bytes32 order,
        uint32 delegation
    ) public pure {
        delegation %= 2 ** 31;
        (JobId id, uint64 tag) = JobIdLibrary.pack(OfferId.wrap(offer), price, gpus, whose, order, delegation);
        vm.assertTrue(id.offerId() == OfferId.wrap(offer));
        vm.assertEq(id.price(), price);
        vm.assertEq(id.gpus(), gpus);
        vm.assertEq(id.delegation(), delegation);
        vm.assertEq(id.isOrder(tag, whose, order) ? 1 : 0, delegation == 0 ? 1 : 0);
        vm.assertEq(Use.unwrap(UseLibrary.pack(id, 7)), JobId.unwrap(id) << 64 >> 64 | bytes32(uint256(7) << 192));
        vm.assertTrue(UseLibrary.pack(id, type(uint64).max).job(OfferId.wrap(offer)) == id);
        vm.assertEq(UseLibrary.pack(id, type(uint64).max).gpuSeconds(), type(uint64).max);
    }

    /// @dev Whoever can be shown to be the customer is credited the deposit: one bit of the id, the account or the hash that
    /// is not looked at is half of the work of grinding that.
    function testFuzz_AnOrderIsOfItsOwnCustomerAlone(
        bytes8 offer,
        uint80 price,
        uint16 gpus,
        address whose,
        bytes32 order
    ) public pure {
        (JobId id, uint64 tag) = JobIdLibrary.pack(OfferId.wrap(offer), price, gpus, whose, order, 0);
        for (uint256 bit = 0; bit < 256; ++bit) {
            vm.assertFalse(id.isOrder(tag, whose, order ^ bytes32(1 << bit)));
            vm.assertFalse(JobId.wrap(JobId.unwrap(id) ^ bytes32(1 << bit)).isOrder(tag, whose, order));
            if (bit < 64) vm.assertFalse(id.isOrder(tag ^ uint64(1 << bit), whose, order));
            if (bit < 160) vm.assertFalse(id.isOrder(tag, address(uint160(whose) ^ uint160(1 << bit)), order));
        }
    }

    function testFuzz_AJobStateKeepsWhatIsNotChanged(
        uint96 signer,
        uint64 tag,
        uint32 started,
        uint40 used,
        uint24 duration,
        uint24 changed
    ) public pure {
        used %= 2 ** 39;
        JobState state = JobStateLibrary.open(tag, duration, 7);
        vm.assertEq(state.second(), 7);
        vm.assertEq(state.tag(), tag);
        vm.assertFalse(state.isStarted() || state.ending());
        state = state.withStart(signer, started).withUsed(used).withDuration(changed);
        vm.assertEq(state.attestor(), signer);
        vm.assertEq(state.isStarted() ? 1 : 0, signer == 0 ? 0 : 1);
        vm.assertEq(state.second(), started);
        vm.assertEq(state.used(), used);
        vm.assertEq(state.duration(), changed);
        vm.assertEq(state.end(), uint256(started) + changed);
        vm.assertFalse(state.ending());
        JobState rotated = state.withEnding(duration).withStart(1, started);
        vm.assertEq(rotated.attestor(), 1);
        vm.assertEq(rotated.tag(), tag);
        vm.assertEq(rotated.used(), used);
        vm.assertEq(rotated.duration(), duration);
        vm.assertTrue(rotated.ending() && rotated.withUsed(1).withDuration(0).ending());
    }
}
