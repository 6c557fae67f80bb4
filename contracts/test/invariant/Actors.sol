// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Job, JobStatus} from "../../src/types/Job.sol";
import {JobId} from "../../src/types/JobId.sol";
import {Order} from "../../src/types/Order.sol";
import {LastVoucher, Voucher} from "../../src/types/Voucher.sol";
import {vm} from "../support/Vm.sol";
import {Stage} from "./Stage.sol";

/// @notice Those whom the market is for, with any arguments in any order: two customers, a provider with its cold and hot
/// key, an attestor, the owner, and time.
/// @dev A call that the market must take is made bare, so that a refusal fails the run.
abstract contract Actors is Stage {
    // --------------------------------------------------------------------------------------------------------- time

    function passTime(uint256 by) external {
        vm.warp(block.timestamp + by % 1500);
    }

    /// @dev To the last second before something changes for a job, the second of it, or the one after.
    function passTimeToAnEdge(uint256 which, uint256 edge, uint256 off) external {
        (, Job memory job, bool any) = pick(which);
        if (!any) return;
        uint256 to = [uint256(job.startDeadline), job.end, job.refundableFrom][edge % 3] + off % 3;
        if (to > block.timestamp) vm.warp(to - 1 < block.timestamp ? block.timestamp : to - 1);
    }

    // -------------------------------------------------------------------------------------------------------- owner

    function changeFee(uint16 bps, uint256 to) external {
        (uint16 before,) = market.fee();
        vm.prank(owner);
        market.setFee(bps % 1001, sinks[to % 2]);
        (uint16 bpsNow,) = market.fee();
        vm.assertLe(bpsNow, before, "raised without notice");
    }

    // ----------------------------------------------------------------------------------------------------- cold key

    /// @dev Sometimes revokes the hot key, sometimes puts it back.
    function changeKeys(bool revoke, uint256 to) external {
        vm.prank(provider);
        market.setProvider(revoke ? address(0) : operator, payouts[to % 2]);
    }

    /// @dev A floor above the price, or a token refused, stops orders and nothing else.
    function changeFloor(uint256 choice) external {
        vm.prank(provider);
        market.setFloor(address(token), 0, [uint128(1), 1, 0, type(uint128).max][choice % 4]);
    }

    // ----------------------------------------------------------------------------------------------------- operator

    function changePrice(uint256 which, uint80 price) external {
        if (market.floor(provider, address(token), 0) != 1) return;
        vm.prank(runner());
        market.updateOffer(offerIds[which % 2], price % 1e12 + 1, 64, type(uint64).max);
        prices[which % 2] = price % 1e12 + 1;
    }

    function start(uint256 which, uint256 key) external {
        (JobId id, Job memory job, bool any) = pick(which);
        if (!any) return;
        key = key % KEYS + 1;
        vm.prank(runner());
        uint256 done = market.startJobs(one(id), signers(key));
        bool open = job.status == JobStatus.Open && block.timestamp <= job.startDeadline;
        bool started = job.status == JobStatus.Running || job.status == JobStatus.Ended;
        vm.assertEq(done, open || (started && block.timestamp < job.refundableFrom) ? 1 : 0);
        if (done == 0) return;
        noteStart(id, open, key);
    }

    function noteStart(JobId id, bool first, uint256 key) private {
        Model storage model = models[id];
        if (first) (model.started, model.end) = (block.timestamp, block.timestamp + model.duration);
        model.attestorKey = key;
    }

    /// @dev Orders and started jobs of two providers in one call of either, some of them twice, some without an attestor: each
    /// of the caller's is started, or has the attestor that was named for it last, and nothing is done to the other's.
    function startManyAtOnce(uint256 seed, bool rival) external {
        if (jobs.length == 0) return;
        (JobId[] memory ids, address[] memory attestors) = (new JobId[](8), new address[](8));
        Job[] memory expected = new Job[](8);
        uint256 due = 0;
        for (uint256 i = 0; i < 8; ++i) {
            uint256 random = uint256(keccak256(abi.encode(seed, i)));
            ids[i] = mixed(random);
            // Claims in the hostile token are signed by the first key.
            uint256 key = (random >> 128) % (rival ? 2 : KEYS + 1);
            if (key != 0) attestors[i] = vm.addr(key);
            uint256 first = firstOf(ids, i);
            if (first == i) expected[i] = market.job(ids[i]);
            Job memory job = expected[first];
            if (key == 0 || rival != (job.offerId == hostileOffer) || !canStart(job)) continue;
            ++due;
            noteStart(ids[i], job.status == JobStatus.Open, key);
            if (job.status == JobStatus.Open) (job.status, job.started) = (JobStatus.Running, uint64(block.timestamp));
            job.attestor = bytes12(uint96(uint160(attestors[i])));
        }
        vm.prank(rival ? address(hostile) : runner());
        vm.assertEq(market.startJobs(ids, attestors), due);
        for (uint256 i = 0; i < 8; ++i) {
            (Job memory job, Job memory wanted) = (market.job(ids[i]), expected[firstOf(ids, i)]);
            vm.assertEq(uint256(job.status), uint256(wanted.status));
            vm.assertEq(job.started, wanted.started);
            vm.assertEq(job.attestor, wanted.attestor);
        }
    }

    function canStart(Job memory job) private view returns (bool) {
        if (job.status == JobStatus.Open) return block.timestamp <= job.startDeadline;
        return
            (job.status == JobStatus.Running || job.status == JobStatus.Ended) && block.timestamp < job.refundableFrom;
    }

    /// @dev A job of either provider.
    function mixed(uint256 random) private view returns (JobId) {
        if (random % 2 == 0 || hostileJobs.length == 0) return jobs[(random >> 8) % jobs.length];
        return hostileJobs[(random >> 8) % hostileJobs.length];
    }

    /// @dev Where in the list the id at a place stands first.
    function firstOf(JobId[] memory ids, uint256 place) private pure returns (uint256 first) {
        while (ids[first] != ids[place]) ++first;
    }

    function decline(uint256 which) external {
        (JobId id, Job memory job, bool any) = pick(which);
        if (!any) return;
        vm.prank(runner());
        vm.assertEq(market.declineJobs(refs(one(id)), ""), job.status == JobStatus.Open ? 1 : 0);
    }

    function endByOperator(uint256 which, uint64 notice, uint64 expectUsed) external {
        (JobId id, Job memory job, bool any) = pick(which);
        if (!any) return;
        uint64 endAt = notice % 3 == 0 ? 0 : uint64(block.timestamp + 1 + notice % 5000);
        uint64[] memory expected = new uint64[](1);
        expected[0] = expectUsed % 3 == 0 ? expectUsed % 1_000_000 : 0;
        vm.prank(runner());
        uint256 done = market.endJobs(refs(one(id)), endAt, expected, "");
        if (done == 0) return;
        vm.assertGe(job.used, expected[0], "ended with unclaimed use");
        if (endAt != 0) (models[id].end, models[id].duration) = (endAt, endAt - models[id].started);
    }

    /// @dev Sometimes signed by the attestor, sometimes by somebody else; sometimes twice in the batch.
    function claim(uint256 which, uint64 count, uint256 key, bool twice) external {
        (JobId id, Job memory job, bool any) = pick(which);
        if (!any) return;
        count = uint64(count % 2_000_000);
        key = key % (KEYS + 2);
        Model storage model = models[id];
        if (key == 0 || key > KEYS) key = model.attestorKey == 0 ? 1 : model.attestorKey;
        if (key == model.attestorKey && count > model.signed) model.signed = count;
        Voucher[] memory vouchers = new Voucher[](twice ? 2 : 1);
        vouchers[0] = sign(key, id, count);
        if (twice) vouchers[1] = vouchers[0];
        vm.prank(stranger);
        uint256 done = market.claim(id.offerId(), vouchers, noProofs());
        if (key != model.attestorKey || job.status == JobStatus.Closed) vm.assertEq(done, 0);
        if (twice) vm.assertLe(done, 1, "one use paid twice");
    }

    /// @dev The last voucher: of the attestor or somebody else, with its own customer or another one.
    function settle(uint256 which, uint64 count, uint256 key, bool lie) external {
        (JobId id, Job memory job, bool any) = pick(which);
        if (!any) return;
        count = uint64(count % 2_000_000);
        Model storage model = models[id];
        key = key % 4 == 0 ? KEYS + 1 : model.attestorKey == 0 ? 1 : model.attestorKey;
        if (key == model.attestorKey && count > model.signed) model.signed = count;
        LastVoucher memory voucher = last(sign(key, id, count), ref(id));
        if (lie) voucher.customer = stranger;
        vm.prank(runner());
        uint256 done = market.settle(id.offerId(), one(voucher), noProofs());
        vm.assertEq(uint256(market.job(id).status), uint256(done == 1 ? JobStatus.Closed : job.status));
        if (done == 0) return;
        vm.assertTrue(job.status == JobStatus.Running || job.status == JobStatus.Ended);
        vm.assertTrue(!lie || job.delegation != 0);
        vm.assertTrue(count <= job.used || key == model.attestorKey || market.job(id).used == job.used);
    }

    /// @dev Jobs of two providers, three windows and two tokens in one batch, some of them twice: each is judged by itself.
    function manyAtOnce(uint256 seed, uint256 what) external {
        if (jobs.length == 0 || hostileJobs.length == 0) return;
        JobId[] memory ids = new JobId[](8);
        Job[] memory before = new Job[](8);
        uint256 due = 0;
        for (uint256 i = 0; i < 8; ++i) {
            uint256 random = uint256(keccak256(abi.encode(seed, i)));
            ids[i] = mixed(random);
            before[i] = market.job(ids[i]);
            bool mine = what % 3 == 0 || random % 2 == 0;
            if (firstOf(ids, i) == i && mine && isDue(before[i], what)) ++due;
        }
        vm.prank(what % 3 == 0 ? stranger : runner());
        uint256 done = what % 3 == 0
            ? market.refund(refs(ids))
            : what % 3 == 1 ? market.declineJobs(refs(ids), "") : market.endJobs(refs(ids), 0, new uint64[](8), "");
        vm.assertEq(done, due);
        for (uint256 i = 0; i < 8; ++i) {
            bool closed = before[i].status == JobStatus.Closed || isDue(before[i], what)
                && (what % 3 == 0 || before[i].offerId != hostileOffer);
            vm.assertEq(market.job(ids[i]).status == JobStatus.Closed ? 1 : 0, closed ? 1 : 0);
        }
    }

    function isDue(Job memory job, uint256 what) private view returns (bool) {
        if (what % 3 == 1) return job.status == JobStatus.Open;
        if (what % 3 == 2) return job.status == JobStatus.Running || job.status == JobStatus.Ended;
        return job.status != JobStatus.Closed && block.timestamp >= job.refundableFrom;
    }

    // ---------------------------------------------------------------------------------------------------- customers

    function order(uint256 which, uint16 gpus, uint32 duration, uint256 by) external {
        if (jobs.length >= MOST_JOBS || market.floor(provider, address(token), 0) != 1) return;
        place(asked(which, by, gpus, duration), which);
    }

    /// @dev Signed by its customer and placed by a stranger, from credit; each salt serves once, and none that was cancelled.
    /// An order that its customer has placed has its job: its signature makes no second one at that price.
    function orderSigned(uint256 which, uint16 gpus, uint32 duration, uint256 by, bool again) external {
        if (jobs.length >= MOST_JOBS || market.floor(provider, address(token), 0) != 1) return;
        Order memory order_ = asked(which, by, gpus, duration);
        if (again) order_.salt = lastSalt[order_.customer];
        bytes memory signature = signed(order_, customerKeys[by % 2]);
        uint256 price = (prices[which % 2] * order_.gpus * order_.duration + 3599) / 3600;
        uint256 before = market.credit(order_.customer, address(token));
        bool spent =
            spentSalts[order_.customer][order_.salt] || orderPlaced[market.orderHashOf(order_)][prices[which % 2]];
        bool good = before >= price && !spent;
        vm.prank(stranger);
        try market.openJobSigned(order_, "", signature) returns (JobId id) {
            vm.assertTrue(good);
            placed(id, order_, which);
            vm.assertEq(before - market.credit(order_.customer, address(token)), price);
            (spentSalts[order_.customer][order_.salt], lastSalt[order_.customer]) = (true, order_.salt);
        } catch {
            vm.assertFalse(good);
        }
    }

    function signed(Order memory order_, uint256 key) private view returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, market.orderDigest(order_));
        return abi.encodePacked(r, s, v);
    }

    function cancel(uint256 by, uint256 ahead) external {
        uint256 salt = nextSalt + ahead % 4;
        vm.prank(customers[by % 2]);
        market.cancelOrders(one(salt));
        spentSalts[customers[by % 2]][salt] = true;
    }

    function prolong(uint256 which, uint32 extra) external {
        (JobId id, Job memory job, bool any) = pick(which);
        if (!any || job.ending || (job.status != JobStatus.Open && job.status != JobStatus.Running)) return;
        if (job.status == JobStatus.Open && block.timestamp > job.startDeadline) return;
        if (job.duration == job.maxDuration) return;
        extra = uint32(extra % (job.maxDuration - job.duration) + 1);
        // Whoever pays for it.
        uint256 before = worth(customers[extra % 2]);
        vm.prank(customers[extra % 2]);
        market.topUp(id, extra);
        prolonged(id, job, extra);
        Model storage model = models[id];
        uint256 price = depositOf(id, model.duration) - depositOf(id, model.duration - extra);
        vm.assertEq(before - worth(customers[extra % 2]), price, "another price of more time");
    }

    function prolonged(JobId id, Job memory job, uint32 extra) private {
        models[id].duration += extra;
        if (job.status == JobStatus.Running) models[id].end += extra;
    }

    function endByCustomer(uint256 which) external {
        (JobId id, Job memory job, bool any) = pick(which);
        if (!any || job.status != JobStatus.Running) return;
        if (block.timestamp + 60 >= job.end || job.started + job.minDuration >= job.end) return;
        vm.prank(job.delegation != 0 ? agent : ref(id).customer);
        Model storage model = models[id];
        uint256 end = block.timestamp + 60 < model.started + 120 ? model.started + 120 : block.timestamp + 60;
        vm.assertEq(market.endJob(ref(id)), end);
        (model.end, model.duration) = (end, end - model.started);
    }

    /// @dev Somebody pays in for one of the two.
    function payIn(uint256 by, uint256 whom, uint64 amount) external {
        vm.prank(customers[by % 2]);
        market.deposit(customers[whom % 2], address(token), amount % 1e12 + 1);
    }

    /// @dev A delegate orders, up to the limit of its day and the credit that there is, and neither less nor more.
    function orderAsDelegate(uint256 which, uint16 gpus, uint32 duration) external {
        if (jobs.length >= MOST_JOBS || market.floor(provider, address(token), 0) != 1) return;
        Order memory order_ = asked(which, 0, gpus, duration);
        bool good = affordable((prices[which % 2] * order_.gpus * order_.duration + 3599) / 3600);
        uint256 before = market.credit(customers[0], address(token));
        vm.prank(agent);
        try market.openJobAs(delegation, order_, "") returns (JobId id) {
            vm.assertTrue(good);
            placed(id, order_, which);
            spend(before, depositOf(id, order_.duration));
        } catch {
            vm.assertFalse(good);
        }
    }

    function prolongAsDelegate(uint256 which, uint32 extra) external {
        (JobId id, Job memory job, bool any) = pick(which);
        if (!any) return;
        extra = uint32(extra % 20_000 + 1);
        Model storage model = models[id];
        uint256 price = depositOf(id, model.duration + extra) - depositOf(id, model.duration);
        bool good = job.delegation == delegation && !job.ending && model.duration + extra <= 20_000
            && (job.status == JobStatus.Running
                || (job.status == JobStatus.Open && block.timestamp <= job.startDeadline)) && affordable(price);
        uint256 before = market.credit(customers[0], address(token));
        vm.prank(agent);
        try market.topUpAs(id, extra) {
            vm.assertTrue(good);
            prolonged(id, job, extra);
            spend(before, price);
        } catch {
            vm.assertFalse(good);
        }
    }

    function affordable(uint256 price) private view returns (bool) {
        bool covered = market.credit(customers[0], address(token)) >= price;
        return covered && spentOn[block.timestamp / 1 days] + price <= PER_DAY;
    }

    function spend(uint256 before, uint256 price) private {
        spentOn[block.timestamp / 1 days] += price;
        vm.assertEq(before - market.credit(customers[0], address(token)), price, "another price");
    }

    // ------------------------------------------------------------------------------------------------------- anyone

    /// @dev A sink is sent its fees, also one that is the sink no more, and nobody else is sent anything.
    function sweep(uint256 which) external {
        address[5] memory all = [sinks[0], sinks[1], customers[0], provider, agent];
        address whom = all[which % 5];
        uint256 owed = market.feesOf(whom, address(token));
        if (which % 5 > 1) vm.assertEq(owed, 0);
        vm.prank(stranger);
        try market.sweepFees(whom, address(token)) returns (uint256 sent) {
            vm.assertEq(sent, owed);
        } catch {
            vm.assertEq(owed, 0);
        }
    }

    function refund(uint256 which) external {
        (JobId id, Job memory job, bool any) = pick(which);
        if (!any) return;
        vm.prank(stranger);
        bool due = job.status != JobStatus.Closed && block.timestamp >= job.refundableFrom;
        vm.assertEq(market.refund(refs(one(id))), due ? 1 : 0);
    }

    function withdraw(uint256 who) external {
        address account = [customers[0], customers[1], provider][who % 3];
        if (market.credit(account, address(token)) == 0) return;
        vm.prank(account == provider ? runner() : account);
        if (account == provider) market.withdrawFor(provider, address(token));
        else market.withdraw(address(token), account, type(uint256).max);
    }
}
