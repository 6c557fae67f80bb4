// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarket} from "../../src/interfaces/IComputeMarket.sol";
import {Job, JobStatus} from "../../src/types/Job.sol";
import {JobId} from "../../src/types/JobId.sol";
import {OfferTerms} from "../../src/types/Offer.sol";
import {Order} from "../../src/types/Order.sol";
import {Voucher} from "../../src/types/Voucher.sol";
import {HostileToken} from "../tokens/HostileToken.sol";
import {TestToken} from "../tokens/TestToken.sol";
import {vm} from "../support/Vm.sol";
import {Actors} from "./Actors.sol";
import {Stage} from "./Stage.sol";

/// @notice Those whom the market is not for: a thief of the hot key, a stranger, a token that turns hostile and is the
/// operator of its own provider, and a chain that puts transactions into another order.
contract Attackers is Actors {
    uint256 private constant THIEF_KEY = KEYS + 7;

    constructor(IComputeMarket market_, TestToken token_, HostileToken hostile_, address owner_, address sink_)
        Stage(market_, token_, hostile_, owner_, sink_)
    {}

    // --------------------------------------------------------------------------------------------- thief of the hot key

    function stolen() private view returns (bool) {
        return market.provider(provider).operator == operator;
    }

    /// @dev Puts itself in the attestor's place and signs for more than there can be.
    function thiefAttests(uint256 which) external {
        (JobId id, Job memory job, bool any) = pick(which);
        if (!any || job.status != JobStatus.Running) return;
        vm.prank(operator);
        uint256 done = market.startJobs(one(id), signers(THIEF_KEY));
        vm.assertEq(done, stolen() ? 1 : 0);
        if (done == 1) (models[id].attestorKey, models[id].signed) = (THIEF_KEY, type(uint64).max);
        Voucher memory voucher = sign(THIEF_KEY, id, type(uint64).max);
        vm.prank(operator);
        market.claim(id.offerId(), one(voucher), noProofs());
    }

    /// @dev Ends jobs for nothing, and posts offers as it likes.
    function thiefEndsAndPosts(uint256 which, uint128 price, uint32 window) external {
        (JobId id, Job memory job, bool any) = pick(which);
        if (!any) return;
        vm.prank(operator);
        uint256 done = market.endJobs(refs(one(id)), 0, new uint64[](1), "");
        bool live = job.status == JobStatus.Running || job.status == JobStatus.Ended;
        vm.assertEq(done, stolen() && live ? 1 : 0);
        OfferTerms memory junk = OfferTerms(
            provider,
            address(token),
            "junk",
            window % 64_801,
            300 + window % 2_591_701,
            0,
            1,
            address(0),
            bytes32(nextSalt++)
        );
        uint256 lowest = market.floor(provider, address(token), 0);
        vm.prank(operator);
        try market.setOffer(junk, price, 1, type(uint64).max, "") {
            vm.assertTrue(stolen() && lowest != 0 && price >= lowest);
        } catch {}
    }

    // ------------------------------------------------------------------------------------------------------ stranger

    /// @dev A stranger, or the hot key on its own account, tries whatever moves money or jobs.
    function meddle(uint256 which, bool thief) external {
        (JobId id, Job memory before, bool any) = pick(which);
        if (!any) return;
        address by = thief ? operator : stranger;
        if (!thief) {
            vm.prank(by);
            vm.assertEq(market.startJobs(one(id), signers(1)), 0);
            vm.prank(by);
            vm.assertEq(market.declineJobs(refs(one(id)), ""), 0);
            vm.prank(by);
            vm.assertEq(market.endJobs(refs(one(id)), 0, new uint64[](1), ""), 0);
            refused(by, abi.encodeCall(market.withdrawFor, (provider, address(token))));
            refused(by, abi.encodeCall(market.updateOffer, (offerIds[0], 1, 1, 1)));
        }
        refused(by, abi.encodeCall(market.endJob, (ref(id))));
        refused(by, abi.encodeCall(market.topUpAs, (id, 60)));
        refused(by, abi.encodeCall(market.withdraw, (address(token), by, type(uint256).max)));
        refused(by, abi.encodeCall(market.withdrawFor, (customers[which % 2], address(token))));
        refused(by, abi.encodeCall(market.setFee, (0, by)));
        vm.assertEq(abi.encode(market.job(id)), abi.encode(before));
        vm.assertEq(token.balanceOf(by), 0);
    }

    function refused(address by, bytes memory data) private {
        vm.prank(by);
        (bool ok,) = address(market).call(data);
        vm.assertFalse(ok);
    }

    // ------------------------------------------------------------------------------------------------- hostile token

    /// @dev Chooses what the token does from now on while it moves; the market may refuse it or bear it.
    function turnToken(uint256 mood, uint256 fee, uint256 which) external {
        hostile.setFee(mood % 4 == 1 ? fee % 3 + 1 : 0);
        hostile.setBlocked(mood % 4 == 2 ? [customers[0], customers[1], accomplice, sinks[0]][which % 4] : address(0));
        hostile.setCall(mood % 4 == 3 ? address(market) : address(0), inner(fee, which));
    }

    /// @dev What it calls: with the rights of an operator where its own jobs are meant.
    function inner(uint256 choice, uint256 which) private view returns (bytes memory) {
        JobId[] memory ids =
            one(hostileJobs.length == 0 || which % 3 == 0 ? nextHostile() : hostileJobs[which % hostileJobs.length]);
        uint64[] memory none = new uint64[](1);
        if (choice % 6 == 0) return abi.encodeCall(market.declineJobs, (refs(ids), ""));
        if (choice % 6 == 1) return abi.encodeCall(market.startJobs, (ids, signers(1)));
        if (choice % 6 == 2) return abi.encodeCall(market.endJobs, (refs(ids), 0, none, ""));
        if (choice % 6 == 3) return abi.encodeCall(market.refund, (refs(ids)));
        if (choice % 6 == 4) return abi.encodeCall(market.withdrawFor, (accomplice, address(hostile)));
        return abi.encodeCall(market.claim, (hostileOffer, one(sign(1, ids[0], type(uint64).max)), noProofs()));
    }

    /// @dev The next order in the hostile token.
    function hostileOrder() private view returns (Order memory) {
        return orderOf(hostileOffer, customers[0], 2, 3600, PRICE, bytes32(hostileJobs.length), "");
    }

    /// @dev The id that it will get.
    function nextHostile() private view returns (JobId) {
        return market.jobIdOf(hostileOrder(), PRICE, 0);
    }

    function orderInHostileToken() external {
        if (hostileJobs.length >= MOST_JOBS) return;
        Order memory order = hostileOrder();
        JobId id = nextHostile();
        remember(id, order.customer, market.orderHashOf(order));
        vm.prank(customers[0]);
        try market.openJob(order, "") {
            hostileJobs.push(id);
        } catch {}
    }

    function useHostileToken(uint256 choice, uint256 which) external {
        if (hostileJobs.length == 0) return;
        JobId id = hostileJobs[which % hostileJobs.length];
        vm.prank(choice % 2 == 0 ? address(hostile) : customers[0]);
        (bool ok,) = address(market).call(inner(choice, which));
        vm.prank(customers[0]);
        if (choice % 3 == 0) {
            try market.topUp(id, 60) {} catch {}
        } else {
            try market.withdraw(address(hostile), customers[0], type(uint256).max) {} catch {}
        }
        ok;
    }

    // --------------------------------------------------------------------------------------------------------- reorg

    /// @dev The same two vouchers of the same two jobs: one by one, the other way round, and in one batch; each from the
    /// same state. All must pay the same.
    function reorderClaims(uint256 a, uint256 b, uint64 countA, uint64 countB) external {
        (JobId first,, bool any) = pick(a);
        if (!any) return;
        (JobId second,,) = pick(b);
        if (first.offerId() != second.offerId()) return;
        (Voucher memory x, Voucher memory y) = (latest(first, countA), latest(second, countB));
        Voucher[] memory both = new Voucher[](2);
        (both[0], both[1]) = (y, x);
        uint256 fork = vm.snapshotState();
        market.claim(first.offerId(), one(x), noProofs());
        market.claim(first.offerId(), one(y), noProofs());
        bytes32 inOrder = outcome(first, second);
        vm.revertToState(fork);
        fork = vm.snapshotState();
        market.claim(first.offerId(), one(y), noProofs());
        market.claim(first.offerId(), one(x), noProofs());
        bytes32 reversed = outcome(first, second);
        vm.revertToState(fork);
        market.claim(first.offerId(), both, noProofs());
        vm.assertEq(outcome(first, second), inOrder);
        vm.assertEq(reversed, inOrder);
    }

    /// @dev An end and a claim, or a refund and a claim, either first: no unit comes or goes, and a claim that the end
    /// expects is never lost.
    function reorderEndAndClaim(uint256 which, uint64 count, bool byTime) external {
        (JobId id, Job memory job, bool any) = pick(which);
        if (!any || job.status == JobStatus.Closed || job.status == JobStatus.Open) return;
        Voucher memory voucher = latest(id, count);
        uint256 due = job.gpus * ((block.timestamp < job.end ? block.timestamp : job.end) - job.started);
        uint64[] memory expected = new uint64[](1);
        expected[0] = uint64(voucher.use.gpuSeconds() < due ? voucher.use.gpuSeconds() : due);
        bool inWindow = block.timestamp < job.refundableFrom;
        uint256 fork = vm.snapshotState();
        finish(id, expected, byTime);
        market.claim(id.offerId(), one(voucher), noProofs());
        uint256 ended = market.job(id).used;
        vm.revertToState(fork);
        market.claim(id.offerId(), one(voucher), noProofs());
        finish(id, expected, byTime);
        if (inWindow) vm.assertEq(market.job(id).used, ended, "a claim was lost");
        else vm.assertEq(market.job(id).used, job.used, "claimed after the window");
    }

    function finish(JobId id, uint64[] memory expected, bool byTime) private {
        if (byTime) {
            market.refund(refs(one(id)));
        } else {
            vm.prank(runner());
            market.endJobs(refs(one(id)), 0, expected, "");
        }
    }

    function latest(JobId id, uint64 count) private returns (Voucher memory) {
        Model storage model = models[id];
        count = uint64(count % 2_000_000);
        if (count > model.signed) model.signed = count;
        return sign(model.attestorKey == 0 ? 1 : model.attestorKey, id, count);
    }

    function outcome(JobId a, JobId b) private view returns (bytes32) {
        return keccak256(
            abi.encode(
                market.job(a),
                market.job(b),
                market.credit(provider, address(token)),
                feesIn(address(token)),
                market.offer(a.offerId())
            )
        );
    }

    // ----------------------------------------------------------------------------------------------------- the way out

    /// @dev Time alone, and one stranger, bring everything back to where it belongs.
    function letTimePass() external {
        vm.warp(block.timestamp + 30 days);
        (address[3] memory owed, address paidTo) =
            ([customers[0], customers[1], provider], market.provider(provider).payout);
        empty(jobs, address(token), owed, paidTo);
        hostile.setFee(0);
        hostile.setBlocked(address(0));
        hostile.setCall(address(0), "");
        owed[2] = accomplice;
        empty(hostileJobs, address(hostile), owed, accomplice);
    }

    function empty(JobId[] storage list, address asset, address[3] memory owed, address paidTo) private {
        for (uint256 i = 0; i < list.length; ++i) {
            vm.prank(stranger);
            market.refund(refs(one(list[i])));
            vm.assertEq(uint256(market.job(list[i]).status), uint256(JobStatus.Closed));
        }
        for (uint256 i = 0; i < 3; ++i) {
            if (market.credit(owed[i], asset) == 0) continue;
            vm.prank(owed[i]);
            market.withdraw(asset, i == 2 ? paidTo : owed[i], type(uint256).max);
        }
        for (uint256 i = 0; i < 2; ++i) {
            if (market.feesOf(sinks[i], asset) != 0) market.sweepFees(sinks[i], asset);
        }
    }
}
