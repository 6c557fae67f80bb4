// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarketEvents} from "../../src/interfaces/IComputeMarketEvents.sol";
import {JobStatus, SkipReason} from "../../src/types/Job.sol";
import {JobId} from "../../src/types/JobId.sol";
import {OfferTerms} from "../../src/types/Offer.sol";
import {OfferId} from "../../src/types/OfferId.sol";
import {UseLibrary} from "../../src/types/Use.sol";
import {Settlement, Voucher} from "../../src/types/Voucher.sol";
import {TestToken} from "../tokens/TestToken.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {vm} from "../support/Vm.sol";

/// @notice Each item of a batch is judged by itself: by its own provider, offer, windows, state and arguments, wherever in
/// the batch it stands.
contract EachItemTest is MarketTest {
    address private immutable rival = address(0x0777);
    address private immutable rivalOperator = address(0x0778);
    TestToken private rivalToken;
    OfferId private rivalOffer;

    /// @dev Another provider with windows and a token of its own, and a second customer.
    function setUp() public override {
        super.setUp();
        rivalToken = TestToken(vm.deployCode("TestToken.sol:TestToken"));
        vm.prank(rival);
        market.setProvider(rivalOperator, rival);
        vm.prank(rival);
        market.setFloor(address(rivalToken), 0, 1);
        OfferTerms memory t = terms();
        (t.provider, t.token, t.startWindow, t.claimWindow) =
        (rival, address(rivalToken), 2 * START_WINDOW, 2 * CLAIM_WINDOW);
        vm.prank(rivalOperator);
        rivalOffer = market.setOffer(t, PRICE, AVAILABLE, type(uint64).max, "");
        fund(stranger, 1e12);
        rivalToken.mint(customer, 1e12);
        vm.prank(customer);
        rivalToken.approve(address(market), type(uint256).max);
    }

    function openRival(bytes32 salt) private returns (JobId) {
        return place(customer, orderOf(rivalOffer, customer, 1, 3600, PRICE, salt, "{}"), "{}");
    }

    function startRival(JobId id) private {
        address[] memory signers = new address[](1);
        signers[0] = attestor;
        vm.prank(rivalOperator);
        vm.assertEq(market.startJobs(one(id), signers), 1);
    }

    function openAs(address by, uint16 gpus, bytes32 salt) private returns (JobId) {
        return place(by, orderOf(offerId, by, gpus, 3600, PRICE, salt, "{}"), "{}");
    }

    function list(JobId a, JobId b, JobId c) private pure returns (JobId[] memory ids) {
        ids = new JobId[](3);
        (ids[0], ids[1], ids[2]) = (a, b, c);
    }

    function list(uint64 a, uint64 b, uint64 c) private pure returns (uint64[] memory counts) {
        counts = new uint64[](3);
        (counts[0], counts[1], counts[2]) = (a, b, c);
    }

    function expectDeclined(JobId id, address whose, uint256 refunded) private {
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.JobDeclined(id, whose, refunded, "no");
    }

    function expectEnded(JobId id, uint256 used, uint256 refunded) private {
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.JobEnded(id, customer, used, refunded, "no");
    }

    // ------------------------------------------------------------------------------------------------------ declines

    function test_OnlyItsOwnProviderDeclinesAnOrder() public {
        JobId mine = open(1, 3600, "a");
        JobId theirs = openRival("b");
        JobId last = open(1, 3600, "c");
        expectDeclined(mine, customer, 2e6);
        expectSkip(theirs, SkipReason.NotOperator);
        expectDeclined(last, customer, 2e6);
        vm.prank(operator);
        vm.assertEq(market.declineJobs(refs(list(mine, theirs, last)), "no"), 2);
        assertStatus(theirs, JobStatus.Open);
        vm.assertEq(market.credit(customer, address(rivalToken)), 0);
    }

    function test_AnothersOrderInFrontDoesntStopAProvidersOwn() public {
        JobId mine = open(1, 3600, "a");
        JobId theirs = openRival("b");
        JobId alsoTheirs = openRival("c");
        expectSkip(theirs, SkipReason.NotOperator);
        expectDeclined(mine, customer, 2e6);
        expectSkip(alsoTheirs, SkipReason.NotOperator);
        vm.prank(operator);
        vm.assertEq(market.declineJobs(refs(list(theirs, mine, alsoTheirs)), "no"), 1);
        assertStatus(theirs, JobStatus.Open);
        assertStatus(alsoTheirs, JobStatus.Open);
    }

    function test_EachDeclinedOrderGoesBackToItsOwnCustomer() public {
        JobId a = openAs(customer, 1, "a");
        JobId b = openAs(stranger, 2, "b");
        JobId started = openAs(customer, 3, "c");
        start(started);
        expectSkip(started, SkipReason.AlreadyStarted);
        expectDeclined(b, stranger, 4e6);
        expectDeclined(a, customer, 2e6);
        vm.prank(operator);
        vm.assertEq(market.declineJobs(refs(list(started, b, a)), "no"), 2);
        expectSkip(a, SkipReason.NotLive);
        expectSkip(started, SkipReason.AlreadyStarted);
        vm.prank(operator);
        vm.assertEq(market.declineJobs(refs(list(a, b, started)), "no"), 0);
        vm.assertEq(creditOf(customer), 2e6);
        vm.assertEq(creditOf(stranger), 4e6);
    }

    // -------------------------------------------------------------------------------------------------------- starts

    function test_OnlyItsOwnProviderStartsAJobAndEachGetsItsOwnAttestor() public {
        JobId[] memory ids = new JobId[](5);
        (ids[0], ids[1], ids[2]) = (open(1, 3600, "a"), openRival("b"), open(1, 3600, "c"));
        (ids[3], ids[4]) = (JobId.wrap(bytes32(uint256(1))), open(1, 3600, "d"));
        address[] memory signers = new address[](5);
        for (uint160 i = 0; i < 5; ++i) {
            signers[i] = address(0xa000 + i);
        }
        expectSkip(ids[1], SkipReason.NotOperator);
        expectSkip(ids[3], SkipReason.NotOperator);
        vm.prank(operator);
        vm.assertEq(market.startJobs(ids, signers), 3);
        assertStatus(ids[1], JobStatus.Open);
        vm.assertEq(market.job(ids[0]).attestor, tailOf(signers[0]));
        vm.assertEq(market.job(ids[2]).attestor, tailOf(signers[2]));
        vm.assertEq(market.job(ids[4]).attestor, tailOf(signers[4]));
        vm.prank(rivalOperator);
        vm.assertEq(market.startJobs(ids, signers), 1);
        vm.assertEq(market.job(ids[1]).attestor, tailOf(signers[1]));
        (ids[0], ids[3]) = (ids[3], ids[0]);
        expectSkip(ids[0], SkipReason.NotOperator);
        vm.prank(rivalOperator);
        vm.assertEq(market.startJobs(ids, signers), 1);
        (ids[0], ids[3]) = (ids[3], ids[0]);
        vm.assertEq(market.job(ids[0]).attestor, tailOf(signers[0]));
    }

    function test_EachOrderHasItsOwnStartDeadline() public {
        JobId early = open(1, 3600, "a");
        vm.warp(T0 + 100);
        JobId late = open(1, 3600, "b");
        JobId latest = open(1, 3600, "c");
        vm.warp(T0 + START_WINDOW + 1);
        address[] memory signers = new address[](3);
        (signers[0], signers[1], signers[2]) = (attestor, attestor, attestor);
        expectSkip(early, SkipReason.DeadlinePassed);
        vm.prank(operator);
        vm.assertEq(market.startJobs(list(late, early, latest), signers), 2);
        assertStatus(latest, JobStatus.Running);
    }

    // ---------------------------------------------------------------------------------------------------------- ends

    function test_OnlyItsOwnProviderEndsAJob() public {
        (JobId mine, JobId theirs, JobId last) = (open(1, 3600, "a"), openRival("b"), open(1, 3600, "c"));
        start(mine);
        startRival(theirs);
        start(last);
        expectEnded(mine, 0, 2e6);
        expectSkip(theirs, SkipReason.NotOperator);
        expectEnded(last, 0, 2e6);
        vm.prank(operator);
        vm.assertEq(market.endJobs(refs(list(mine, theirs, last)), 0, list(0, 0, 0), "no"), 2);
        assertStatus(theirs, JobStatus.Running);
    }

    function test_OnlyItsOwnProviderAnnouncesAnEnd() public {
        (JobId mine, JobId theirs, JobId last) = (open(1, 3600, "a"), openRival("b"), openRival("c"));
        start(mine);
        startRival(theirs);
        startRival(last);
        expectSkip(theirs, SkipReason.NotOperator);
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.JobEndAnnounced(mine, offerId, customer, operator, uint64(T0 + 1800), 1e6, "no");
        expectSkip(last, SkipReason.NotOperator);
        vm.prank(operator);
        vm.assertEq(market.endJobs(refs(list(theirs, mine, last)), uint64(T0 + 1800), list(0, 0, 0), "no"), 1);
        vm.assertEq(market.job(theirs).end, T0 + 3600);
        vm.assertEq(market.job(last).end, T0 + 3600);
    }

    function test_EachEndWaitsForItsOwnCount() public {
        (JobId a, JobId b, JobId c) = (open(1, 3600, "a"), open(1, 3600, "b"), open(1, 3600, "c"));
        start(a);
        start(b);
        start(c);
        vm.warp(T0 + 1800);
        claim(a, 900);
        claim(c, 1800);
        uint256 fork = vm.snapshotState();
        expectEnded(a, 900, 1.5e6);
        expectSkip(b, SkipReason.UnclaimedUse);
        expectEnded(c, 1800, 1e6);
        vm.prank(operator);
        vm.assertEq(market.endJobs(refs(list(a, b, c)), 0, list(900, 1, 1800), "no"), 2);
        vm.revertToState(fork);
        expectSkip(c, SkipReason.UnclaimedUse);
        expectEnded(b, 0, 2e6);
        expectSkip(a, SkipReason.UnclaimedUse);
        vm.prank(operator);
        vm.assertEq(market.endJobs(refs(list(c, b, a)), 0, list(1801, 0, 901), "no"), 1);
    }

    function test_EachNoticeMeetsItsOwnEnd() public {
        (JobId a, JobId b, JobId c) = (open(1, 1800, "a"), open(2, 3600, "b"), open(1, 3600, "c"));
        start(a);
        vm.warp(T0 + 10);
        start(b);
        expectSkip(a, SkipReason.EndNotEarlier);
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.JobEndAnnounced(b, offerId, customer, operator, uint64(T0 + 1810), 2e6, "no");
        expectSkip(c, SkipReason.NotStarted);
        vm.prank(operator);
        vm.assertEq(market.endJobs(refs(list(a, b, c)), uint64(T0 + 1810), list(0, 0, 0), "no"), 1);
        vm.assertEq(market.job(a).end, T0 + 1800);
    }

    // ------------------------------------------------------------------------------------------------------- refunds

    function expectRefunded(JobId id, address whose, uint256 refunded) private {
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.JobRefunded(id, whose, refunded);
    }

    function test_EachOrderIsRefundedByItsOwnStartWindow() public {
        (JobId mine, JobId theirs, JobId last) = (open(1, 3600, "a"), openRival("b"), openAs(stranger, 2, "c"));
        vm.warp(T0 + START_WINDOW + 1);
        uint256 fork = vm.snapshotState();
        expectSkip(theirs, SkipReason.TooEarly);
        expectRefunded(mine, customer, 2e6);
        expectRefunded(last, stranger, 4e6);
        vm.assertEq(market.refund(refs(list(theirs, mine, last))), 2);
        vm.revertToState(fork);
        expectRefunded(mine, customer, 2e6);
        expectSkip(theirs, SkipReason.TooEarly);
        vm.assertEq(market.refund(refs(list(mine, theirs, last))), 2);
        vm.assertEq(creditOf(stranger), 4e6);
        vm.warp(T0 + 2 * START_WINDOW + 1);
        vm.assertEq(market.refund(refs(one(theirs))), 1);
        vm.assertEq(market.credit(customer, address(rivalToken)), 2e6);
        vm.assertEq(creditOf(customer), 2e6);
    }

    function test_EachJobIsRefundedByItsOwnClaimWindow() public {
        (JobId mine, JobId theirs, JobId later) = (open(1, 3600, "a"), openRival("b"), open(1, 10_800, "c"));
        start(mine);
        startRival(theirs);
        start(later);
        vm.warp(T0 + 3600 + CLAIM_WINDOW + 1);
        uint256 fork = vm.snapshotState();
        expectSkip(theirs, SkipReason.TooEarly);
        expectRefunded(mine, customer, 2e6);
        expectSkip(later, SkipReason.TooEarly);
        vm.assertEq(market.refund(refs(list(theirs, mine, later))), 1);
        vm.revertToState(fork);
        expectRefunded(mine, customer, 2e6);
        expectSkip(theirs, SkipReason.TooEarly);
        vm.assertEq(market.refund(refs(list(mine, theirs, later))), 1);
        assertStatus(later, JobStatus.Running);
        assertStatus(theirs, JobStatus.Ended);
    }

    // -------------------------------------------------------------------------------------------------------- claims

    function test_EachVoucherIsPaidByItsOwnPriceGpusAndTime() public {
        JobId a = open(1, 3600, "a");
        vm.prank(operator);
        market.updateOffer(offerId, PRICE / 2, AVAILABLE, type(uint64).max);
        JobId b = open(4, 7200, "b");
        JobId theirs = openRival("c");
        start(a);
        vm.warp(T0 + 100);
        start(b);
        startRival(theirs);
        vm.warp(T0 + 3700);
        claim(a, 1800);
        Voucher[] memory vouchers = new Voucher[](3);
        (vouchers[0], vouchers[1], vouchers[2]) =
        (sign(theirs, 1), sign(a, type(uint64).max), sign(b, type(uint64).max));
        Settlement[] memory lines = new Settlement[](2);
        lines[0] = Settlement(UseLibrary.pack(a, 3600), vouchers[1].evidenceRoot);
        lines[1] = Settlement(UseLibrary.pack(b, 4 * 3600), vouchers[2].evidenceRoot);
        expectSkip(vouchers[0].use.job(offerId), SkipReason.NotLive);
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.UsageClaimed(offerId, provider, lines, 1800 + 4 * 3600, 1e6 + 4e6, 125_000);
        vm.assertEq(market.claim(offerId, vouchers, noProofs()), 2);
        vm.assertEq(market.job(theirs).used, 0);
        vm.assertEq(market.credit(rival, address(rivalToken)), 0);
    }

    function test_EachVoucherHasItsOwnClaimWindowAndAttestor() public {
        (JobId old, JobId young) = (open(1, 3600, "a"), open(1, 7200, "b"));
        start(old);
        startAs(young, vm.addr(0xBEEF));
        vm.warp(T0 + 3600 + CLAIM_WINDOW + 1);
        Voucher[] memory vouchers = new Voucher[](3);
        (vouchers[0], vouchers[1], vouchers[2]) = (sign(old, 1), sign(young, 1), signAs(0xBEEF, young, 7000));
        expectSkip(old, SkipReason.ClaimWindowPassed);
        expectSkip(young, SkipReason.BadSignature);
        vm.assertEq(market.claim(offerId, vouchers, noProofs()), 1);
        vm.assertEq(market.job(young).used, 7000);
    }
}
