// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {JobId} from "../../src/types/JobId.sol";
import {OfferTerms} from "../../src/types/Offer.sol";
import {OfferId} from "../../src/types/OfferId.sol";
import {Order} from "../../src/types/Order.sol";
import {LastVoucher, Voucher} from "../../src/types/Voucher.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {vm} from "../support/Vm.sol";

/// @notice What transactions cost, base fee and calldata included (`isolate` makes each call a transaction of its
/// own). The figures are committed in `snapshots/ComputeMarket.json`; a drift of it fails in CI. Tests fail above the
/// aims; `tools/gas/aims.mjs` holds the receipts of a node to them too, and to that of a job's life, which isn't measured here.
/// @dev The second claim of a job is measured, the one that is repeated while it runs.
/// forge-config: default.isolate = true
contract GasTest is MarketTest {
    string private constant GROUP = "ComputeMarket";
    uint256 private constant JOBS = 100;
    /// Most that a further job of a batch may cost, whatever the price.
    uint256 private constant START_AIM = 11_000;
    uint256 private constant CLAIM_AIM = 11_700;
    /// For jobs of one customer: another customer's credit is another slot.
    uint256 private constant SETTLE_AIM = 17_000;

    JobId[] private jobs;

    function setUp() public override {
        super.setUp();
        for (uint256 i = 0; i < JOBS; ++i) {
            jobs.push(open(2, 3600, keccak256(abi.encode(i))));
        }
    }

    function take(uint256 count) private view returns (JobId[] memory ids, address[] memory signers) {
        ids = new JobId[](count);
        signers = new address[](count);
        for (uint256 i = 0; i < count; ++i) {
            ids[i] = jobs[i];
            signers[i] = attestor;
        }
    }

    function startJobs(uint256 count) private {
        (JobId[] memory ids, address[] memory signers) = take(count);
        vm.prank(operator);
        market.startJobs(ids, signers);
    }

    function claimJobs(uint256 count, uint64 gpuSeconds) private {
        Voucher[] memory vouchers = new Voucher[](count);
        for (uint256 i = 0; i < count; ++i) {
            vouchers[i] = sign(jobs[i], gpuSeconds);
        }
        vm.prank(operator);
        market.claim(offerId, vouchers, noProofs());
    }

    function snapshot(string memory name) private returns (uint256) {
        return vm.snapshotGasLastCall(GROUP, name);
    }

    function test_StartCostsWithinTheTarget() public {
        startJobs(JOBS / 2);
        uint256 fifty = snapshot("startJobs, 50 jobs");
        (JobId[] memory ids, address[] memory signers) = take(JOBS);
        JobId[] memory last = new JobId[](1);
        last[0] = ids[JOBS - 1];
        assembly ("memory-safe") {
            mstore(signers, 1)
        }
        vm.prank(operator);
        market.startJobs(last, signers);
        uint256 one = snapshot("startJobs, 1 job");
        uint256 marginal = (fifty - one) / 49;
        vm.snapshotValue(GROUP, "startJobs, each further job", marginal);
        vm.assertLe(marginal, START_AIM, "gas of a further start");
    }

    /// @dev What a further claim costs; the names in the snapshots end as told.
    function furtherClaim(string memory which) private returns (uint256 marginal) {
        startJobs(JOBS);
        vm.warp(T0 + 3000);
        claimJobs(JOBS, 1000);
        claimJobs(1, 1100);
        uint256 one = snapshot(string.concat("claim, 1 job", which));
        claimJobs(JOBS, 5400);
        uint256 hundred = snapshot(string.concat("claim, 100 jobs", which));
        marginal = (hundred - one) / 99;
        vm.snapshotValue(GROUP, string.concat("claim, each further job", which), marginal);
    }

    /// @dev All jobs ordered anew at another price.
    function orderAt(uint128 price) private {
        vm.prank(operator);
        market.updateOffer(offerId, price, AVAILABLE, type(uint64).max);
        fund(customer, uint256(price) * 1000);
        for (uint256 i = 0; i < JOBS; ++i) {
            jobs[i] = place(
                customer, orderOf(offerId, customer, 2, 3600, price, keccak256(abi.encode("again", i)), "{}"), "{}"
            );
        }
    }

    function test_ClaimCostsWithinTheTarget() public {
        vm.assertLe(furtherClaim(""), CLAIM_AIM, "gas of a further claim");
    }

    function test_ClaimAtAnOddPriceOfSixDecimalsCostsWithinTheTarget() public {
        orderAt(1_234_567);
        vm.assertLe(furtherClaim(", an odd price"), CLAIM_AIM, "gas of a further claim");
    }

    /// @dev More bytes of the price, in each job's id, aren't zero.
    function test_ClaimAtAPriceOfEighteenDecimalsCostsWithinTheTarget() public {
        orderAt(2_345_678_901_234_567_891);
        vm.assertLe(furtherClaim(", 18 decimals"), CLAIM_AIM, "gas of a further claim in a token of 18 decimals");
    }

    /// @dev The last claim and the end of a job in one call; the names in the snapshots end as told.
    function furtherEnd(string memory which) private returns (uint256 marginal) {
        startJobs(JOBS);
        vm.warp(T0 + 3000);
        claimJobs(JOBS, 1000);
        settleJobs(0, 1);
        settleJobs(1, 1);
        uint256 one = snapshot(string.concat("settle, 1 job", which));
        settleJobs(2, JOBS);
        uint256 all = snapshot(string.concat("settle, 98 jobs", which));
        marginal = (all - one) / (JOBS - 3);
        vm.snapshotValue(GROUP, string.concat("settle, each further job", which), marginal);
    }

    function settleJobs(uint256 from, uint256 to) private {
        if (to <= from) to = from + 1;
        LastVoucher[] memory vouchers = new LastVoucher[](to - from);
        for (uint256 i = from; i < to; ++i) {
            vouchers[i - from] = last(sign(jobs[i], 5400), ref(jobs[i]));
        }
        vm.prank(operator);
        vm.assertEq(market.settle(offerId, vouchers, noProofs()), to - from);
    }

    function test_AClaimAndAnEndTogetherCostWithinTheTarget() public {
        vm.assertLe(furtherEnd(""), SETTLE_AIM, "gas of a further claim and end together");
    }

    function test_AClaimAndAnEndOfEighteenDecimalsCostWithinTheTarget() public {
        orderAt(2_345_678_901_234_567_891);
        vm.assertLe(furtherEnd(", 18 decimals"), SETTLE_AIM, "gas of a further claim and end together");
    }

    function openByHash(string memory name, uint256 salt) private returns (uint256) {
        Order memory order = orderOf(offerId, customer, 2, 3600, PRICE, bytes32(salt), "a spec");
        (order.deadline, order.specOffChain) = (uint64(T0 + 1000), true);
        vm.prank(customer);
        market.openJob(order, "");
        return snapshot(name);
    }

    /// @dev An order by hash: with a transfer of the token, and from credit.
    function test_AnOrder() public {
        openByHash("openJob, by hash, with a transfer", 7);
        vm.prank(customer);
        market.deposit(customer, address(token), 1e9);
        snapshot("deposit");
        openByHash("openJob, by hash, from credit", 8);
    }

    function test_TheOtherCalls() public {
        OfferTerms memory t = terms();
        t.salt = "new";
        vm.prank(operator);
        market.setOffer(t, PRICE, AVAILABLE, type(uint64).max, "{}");
        snapshot("setOffer, new");
        vm.prank(operator);
        market.updateOffer(offerId, PRICE + 1, 4, uint64(T0 + 1000));
        snapshot("updateOffer");
        place(customer, orderOf(offerId, customer, 1, 3600, PRICE + 1, 0, new bytes(1024)), new bytes(1024));
        snapshot("openJob, spec of 1024 zero bytes");
        startJobs(3);
        vm.prank(customer);
        market.topUp(jobs[0], 3600);
        snapshot("topUp");
        vm.warp(T0 + 600);
        vm.prank(customer);
        market.endJob(ref(jobs[0]));
        snapshot("endJob");
        claimJobs(1, 1000);
        snapshot("claim, 1 job, first of the market");
        end(jobs[1], 0, 0);
        snapshot("endJobs, 1 job, at once");
        vm.prank(operator);
        market.declineJobs(refs(one(jobs[3])), "no");
        snapshot("declineJobs, 1 job");
        vm.warp(T0 + 601);
        market.refund(refs(one(jobs[4])));
        snapshot("refund, 1 job");
        vm.prank(customer);
        market.withdraw(address(token), customer, type(uint256).max);
        snapshot("withdraw");
    }
}
