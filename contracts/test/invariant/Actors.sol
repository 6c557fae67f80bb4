// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarket} from "../../src/interfaces/IComputeMarket.sol";
import {Job, JobStatus} from "../../src/types/Job.sol";
import {JobId} from "../../src/types/JobId.sol";
import {OfferTerms} from "../../src/types/Offer.sol";
import {OfferId} from "../../src/types/OfferId.sol";
import {Voucher} from "../../src/types/Voucher.sol";
import {TestToken} from "../tokens/TestToken.sol";
import {vm} from "../support/Vm.sol";

/// @notice Everybody who calls the market, with any arguments in any order: two customers, a provider with its cold
/// key, an operator key that may be stolen, an attestor, a stranger, the owner, and time.
/// @dev Keeps its own model of each job's time and of what was signed, from the calls alone, to hold the market's
/// answers against. A call that the market must take is made bare, so that a refusal fails the run.
contract Actors {
    /// What the calls so far allow a job to be paid for.
    struct Model {
        uint256 started;
        uint256 end;
        /// Highest count that an attestor signed while it was the job's attestor.
        uint256 signed;
        uint256 attestorKey;
    }

    uint256 private constant KEYS = 3;
    uint128 private constant PRICE = 1_234_567;

    IComputeMarket public immutable market;
    TestToken public immutable token;
    address public immutable owner;
    address public immutable sink;
    address public immutable provider = address(0x0333);
    address public immutable operator = address(0x0444);
    address public immutable payout = address(0x0555);
    address public immutable stranger = address(0x0666);
    address[2] public customers = [address(0x0701), address(0x0702)];

    OfferId[2] public offerIds;
    JobId[] public jobs;
    mapping(JobId => Model) public models;
    uint256 private nextSalt;

    constructor(IComputeMarket market_, TestToken token_, address owner_, address sink_) {
        (market, token, owner, sink) = (market_, token_, owner_, sink_);
        vm.prank(provider);
        market.setProvider(operator, payout);
        vm.prank(provider);
        market.setFloor(address(token), 1);
        for (uint256 i = 0; i < 2; ++i) {
            OfferTerms memory terms = OfferTerms(provider, address(token), "GPU", 600, 1800, 120, 20_000, bytes32(i));
            vm.prank(operator);
            offerIds[i] = market.setOffer(terms, PRICE, 64, type(uint64).max, "");
            token.mint(customers[i], 1e18);
            vm.prank(customers[i]);
            token.approve(address(market), type(uint256).max);
        }
    }

    // -------------------------------------------------------------------------------------------------------- calls

    function passTime(uint256 by) external {
        vm.warp(block.timestamp + by % 1500);
    }

    function changePrice(uint256 which, uint80 price) external {
        vm.prank(operator);
        market.updateOffer(offerIds[which % 2], price == 0 ? 1 : price % 1e12 + 1, 64, type(uint64).max);
    }

    function changeFee(uint16 bps) external {
        vm.prank(owner);
        market.setFee(bps % 1001, sink);
    }

    function order(uint256 which, uint16 gpus, uint32 duration, uint256 by) external {
        if (jobs.length >= 24) return;
        OfferId offerId = offerIds[which % 2];
        vm.prank(customers[by % 2]);
        JobId id =
            market.openJob(offerId, gpus % 64 + 1, 120 + duration % 19_881, type(uint128).max, bytes32(nextSalt++), "");
        jobs.push(id);
    }

    function start(uint256 which, uint256 key) external {
        (JobId id, Job memory job, bool any) = pick(which);
        if (!any) return;
        key = key % KEYS + 1;
        address[] memory signers = new address[](1);
        signers[0] = vm.addr(key);
        vm.prank(operator);
        uint256 done = market.startJobs(one(id), signers);
        bool open = job.status == JobStatus.Open && block.timestamp <= job.startDeadline;
        vm.assertEq(done, open || job.status == JobStatus.Running ? 1 : 0);
        if (done == 0) return;
        Model storage model = models[id];
        if (open) (model.started, model.end) = (block.timestamp, block.timestamp + job.duration);
        model.attestorKey = key;
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
        Voucher[] memory vouchers = signed(key, id, count, twice ? 2 : 1);
        vm.prank(stranger);
        uint256 done = market.claim(id.offerId(), vouchers);
        if (key != model.attestorKey || job.status == JobStatus.Closed) vm.assertEq(done, 0);
        if (twice) vm.assertLe(done, 1, "one use paid twice");
    }

    function prolong(uint256 which, uint32 extra) external {
        (JobId id, Job memory job, bool any) = pick(which);
        if (!any || job.ending || (job.status != JobStatus.Open && job.status != JobStatus.Running)) return;
        extra = uint32(extra % (job.maxDuration - job.duration + 1));
        vm.prank(job.customer);
        market.topUp(id, extra);
        if (job.status == JobStatus.Running) models[id].end += extra;
    }

    function endByCustomer(uint256 which) external {
        (JobId id, Job memory job, bool any) = pick(which);
        if (!any || job.status != JobStatus.Running) return;
        if (block.timestamp + 60 >= job.end || job.started + job.minDuration >= job.end) return;
        vm.prank(job.customer);
        models[id].end = market.endJob(id);
    }

    function endByOperator(uint256 which, uint64 notice, uint64 expectUsed) external {
        (JobId id, Job memory job, bool any) = pick(which);
        if (!any) return;
        uint64 endAt = notice % 3 == 0 ? 0 : uint64(block.timestamp + 1 + notice % 5000);
        uint64[] memory expected = new uint64[](1);
        expected[0] = expectUsed % 3 == 0 ? expectUsed % 1_000_000 : 0;
        vm.prank(operator);
        uint256 done = market.endJobs(one(id), endAt, expected, "");
        if (done == 0) return;
        vm.assertGe(job.used, expected[0], "ended with unclaimed use");
        if (endAt != 0) models[id].end = endAt;
    }

    function decline(uint256 which) external {
        (JobId id, Job memory job, bool any) = pick(which);
        if (!any) return;
        vm.prank(operator);
        vm.assertEq(market.declineJobs(one(id), ""), job.status == JobStatus.Open ? 1 : 0);
    }

    function refund(uint256 which) external {
        (JobId id, Job memory job, bool any) = pick(which);
        if (!any) return;
        vm.prank(stranger);
        bool due = job.status != JobStatus.Closed && block.timestamp >= job.refundableFrom;
        vm.assertEq(market.refund(one(id)), due ? 1 : 0);
    }

    function withdraw(uint256 who) external {
        address account = [customers[0], customers[1], sink, provider][who % 4];
        if (market.credit(account, address(token)) == 0) return;
        vm.prank(account == provider ? operator : account);
        if (account == provider) market.withdrawFor(provider, address(token));
        else market.withdraw(address(token), account);
    }

    /// @dev A stranger, or the hot key on its own account, tries whatever moves money or jobs.
    function meddle(uint256 which, bool thief) external {
        (JobId id, Job memory before, bool any) = pick(which);
        if (!any) return;
        address by = thief ? operator : stranger;
        address[] memory signers = new address[](1);
        signers[0] = by;
        if (!thief) {
            vm.prank(by);
            vm.assertEq(market.startJobs(one(id), signers), 0);
            vm.prank(by);
            vm.assertEq(market.declineJobs(one(id), ""), 0);
            vm.prank(by);
            vm.assertEq(market.endJobs(one(id), 0, new uint64[](1), ""), 0);
            refused(by, abi.encodeCall(IComputeMarket.withdrawFor, (provider, address(token))));
        }
        refused(by, abi.encodeCall(IComputeMarket.endJob, (id)));
        refused(by, abi.encodeCall(IComputeMarket.topUp, (id, 60)));
        refused(by, abi.encodeCall(IComputeMarket.withdraw, (address(token), by)));
        refused(by, abi.encodeCall(IComputeMarket.setFee, (0, by)));
        vm.assertEq(abi.encode(market.job(id)), abi.encode(before));
        vm.assertEq(token.balanceOf(by), 0);
    }

    /// @dev Time alone, and one stranger, bring everything back to where it belongs.
    function letTimePass() external {
        vm.warp(block.timestamp + 30 days);
        for (uint256 i = 0; i < jobs.length; ++i) {
            vm.prank(stranger);
            market.refund(one(jobs[i]));
            vm.assertEq(uint256(market.job(jobs[i]).status), uint256(JobStatus.Closed));
        }
        address[4] memory owed = [customers[0], customers[1], sink, provider];
        for (uint256 i = 0; i < 4; ++i) {
            if (market.credit(owed[i], address(token)) == 0) continue;
            vm.prank(owed[i]);
            market.withdraw(address(token), owed[i] == provider ? payout : owed[i]);
        }
    }

    // -------------------------------------------------------------------------------------------------------- views

    function jobCount() external view returns (uint256) {
        return jobs.length;
    }

    function refused(address by, bytes memory call) private {
        vm.prank(by);
        (bool ok,) = address(market).call(call);
        vm.assertFalse(ok);
    }

    function signed(uint256 key, JobId id, uint64 count, uint256 times)
        private
        view
        returns (Voucher[] memory vouchers)
    {
        (bytes32 r, bytes32 vs) = vm.signCompact(key, market.voucherDigest(id, count, 0));
        vouchers = new Voucher[](times);
        for (uint256 i = 0; i < times; ++i) {
            vouchers[i] = Voucher(id, count, 0, r, vs);
        }
    }

    function pick(uint256 which) private view returns (JobId id, Job memory job, bool any) {
        if (jobs.length == 0) return (id, job, false);
        id = jobs[which % jobs.length];
        return (id, market.job(id), true);
    }

    function one(JobId id) private pure returns (JobId[] memory ids) {
        ids = new JobId[](1);
        ids[0] = id;
    }
}
