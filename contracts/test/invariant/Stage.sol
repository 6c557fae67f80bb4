// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarket} from "../../src/interfaces/IComputeMarket.sol";
import {Job, JobStatus} from "../../src/types/Job.sol";
import {JobId} from "../../src/types/JobId.sol";
import {OfferTerms} from "../../src/types/Offer.sol";
import {OfferId} from "../../src/types/OfferId.sol";
import {Order} from "../../src/types/Order.sol";
import {UseLibrary} from "../../src/types/Use.sol";
import {Voucher} from "../../src/types/Voucher.sol";
import {HostileToken} from "../tokens/HostileToken.sol";
import {TestToken} from "../tokens/TestToken.sol";
import {Lists} from "../support/Lists.sol";
import {vm} from "../support/Vm.sol";

/// @notice Who is there before anybody calls, and a model of each job's time and of what was signed, kept from the calls
/// alone, to hold the market's answers against.
abstract contract Stage is Lists {
    /// What the calls so far allow a job to be paid for. Nothing of it is read from the market.
    struct Model {
        uint256 price;
        uint256 gpus;
        /// Seconds that are paid for.
        uint256 duration;
        uint256 started;
        uint256 end;
        /// Highest count that an attestor signed while it was the job's attestor.
        uint256 signed;
        uint256 attestorKey;
    }

    uint256 internal constant KEYS = 3;
    uint256 internal constant MOST_JOBS = 24;
    uint128 internal constant PRICE = 1_234_567;
    uint256 public constant MINTED = 1e18;
    uint112 internal constant PER_DAY = 2e8;

    IComputeMarket public immutable market;
    TestToken public immutable token;
    HostileToken public immutable hostile;
    address public immutable owner;
    /// The sink of the market's start, and another one.
    address[2] public sinks;
    address public immutable provider = address(0x0333);
    address public immutable operator = address(0x0444);
    address public immutable stranger = address(0x0666);
    address[2] public payouts = [address(0x0555), address(0x0556)];
    uint256[2] internal customerKeys = [0x0701, 0x0702];
    address[2] public customers = [vm.addr(0x0701), vm.addr(0x0702)];
    /// A provider of its own that takes the hostile token, which is its operator.
    address public immutable accomplice = address(0x0888);

    /// May spend so much a day of what the first customer has credit of.
    address public immutable agent = address(0x0A6E);
    uint32 internal delegation;
    mapping(uint256 day => uint256) internal spentOn;
    /// An order at another price is another job, to which its signature is good.
    mapping(bytes32 orderHash => mapping(uint256 price => bool)) internal orderPlaced;
    mapping(address customer => mapping(uint256 salt => bool)) internal spentSalts;
    mapping(address customer => uint256 salt) internal lastSalt;

    OfferId[2] public offerIds;
    OfferId public hostileOffer;
    JobId[] public jobs;
    JobId[] public hostileJobs;
    mapping(JobId => Model) public models;
    uint256 internal nextSalt;
    /// Price of each offer.
    uint256[2] internal prices = [PRICE, PRICE];

    constructor(IComputeMarket market_, TestToken token_, HostileToken hostile_, address owner_, address sink_) {
        (market, token, hostile, owner) = (market_, token_, hostile_, owner_);
        sinks = [sink_, address(0x0223)];
        vm.prank(provider);
        market.setProvider(operator, payouts[0]);
        vm.prank(provider);
        market.setFloor(address(token), 0, 1);
        vm.prank(accomplice);
        market.setProvider(address(hostile), accomplice);
        vm.prank(accomplice);
        market.setFloor(address(hostile), 0, 1);
        for (uint256 i = 0; i < 2; ++i) {
            offerIds[i] = post(provider, address(token), uint32(600 + 300 * i), uint32(1800 + 900 * i), bytes32(i));
            token.mint(customers[i], MINTED);
            hostile.mint(customers[i], MINTED);
            vm.prank(customers[i]);
            token.approve(address(market), type(uint256).max);
            vm.prank(customers[i]);
            hostile.approve(address(market), type(uint256).max);
        }
        hostileOffer = post(accomplice, address(hostile), 700, 2000, 0);
        vm.prank(customers[0]);
        delegation = market.delegate(agent, address(token), PER_DAY, type(uint40).max);
    }

    function post(address by, address asset, uint32 startWindow, uint32 claimWindow, bytes32 salt)
        internal
        returns (OfferId)
    {
        OfferTerms memory terms = OfferTerms(by, asset, "GPU", startWindow, claimWindow, 120, 20_000, address(0), salt);
        vm.prank(by);
        return market.setOffer(terms, PRICE, 64, type(uint64).max, "");
    }

    /// @dev A customer places an order and remembers of it what is needed later.
    function place(Order memory order, uint256 which) internal returns (JobId id) {
        uint256 before = worth(order.customer);
        vm.prank(order.customer);
        id = market.openJob(order, "");
        placed(id, order, which);
        vm.assertEq(before - worth(order.customer), depositOf(id, order.duration), "another deposit");
    }

    function placed(JobId id, Order memory order, uint256 which) internal {
        jobs.push(id);
        bytes32 hash = market.orderHashOf(order);
        orderPlaced[hash][prices[which % 2]] = true;
        remember(id, order.customer, hash);
        Model storage model = models[id];
        (model.price, model.gpus, model.duration) = (prices[which % 2], order.gpus, order.duration);
    }

    function asked(uint256 which, uint256 by, uint16 gpus, uint32 duration) internal returns (Order memory) {
        return orderOf(
            offerIds[which % 2],
            customers[by % 2],
            gpus % 64 + 1,
            120 + duration % 19_881,
            type(uint128).max,
            bytes32(nextSalt++),
            ""
        );
    }

    /// @dev What an account has, in the market and outside.
    function worth(address account) internal view returns (uint256) {
        return token.balanceOf(account) + market.credit(account, address(token));
    }

    /// @dev What so many seconds of a job deposit.
    function depositOf(JobId id, uint256 duration) internal view returns (uint256) {
        return (models[id].price * models[id].gpus * duration + 3599) / 3600;
    }

    /// @dev Most GPU-seconds that can have been used of a job by now.
    function mostUsed(JobId id) public view returns (uint256) {
        Model storage model = models[id];
        return model.gpus * ((block.timestamp < model.end ? block.timestamp : model.end) - model.started);
    }

    // -------------------------------------------------------------------------------------------------------- views

    /// @dev Fees that were not sent yet.
    function feesIn(address asset) public view returns (uint256) {
        return market.feesOf(sinks[0], asset) + market.feesOf(sinks[1], asset);
    }

    function jobCount() external view returns (uint256) {
        return jobs.length;
    }

    function hostileJobCount() external view returns (uint256) {
        return hostileJobs.length;
    }

    /// @dev Who runs the offers now: the hot key, or the cold one where that was revoked.
    function runner() internal view returns (address hot) {
        hot = market.provider(provider).operator;
        if (hot == address(0)) hot = provider;
    }

    function pick(uint256 which) internal view returns (JobId id, Job memory job, bool any) {
        if (jobs.length == 0) return (id, job, false);
        id = jobs[which % jobs.length];
        return (id, market.job(id), true);
    }

    function sign(uint256 key, JobId id, uint64 count) internal view returns (Voucher memory) {
        (bytes32 r, bytes32 vs) = vm.signCompact(key, market.voucherDigest(id, count, 0));
        return Voucher(UseLibrary.pack(id, count), 0, r, vs);
    }

    function signers(uint256 key) internal pure returns (address[] memory attestors) {
        attestors = new address[](1);
        attestors[0] = vm.addr(key);
    }
}
