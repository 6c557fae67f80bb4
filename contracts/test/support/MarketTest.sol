// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Multicall} from "@openzeppelin/contracts/utils/Multicall.sol";
import {IComputeMarket} from "../../src/interfaces/IComputeMarket.sol";
import {IComputeMarketEvents} from "../../src/interfaces/IComputeMarketEvents.sol";
import {Job, JobStatus, SkipReason} from "../../src/types/Job.sol";
import {JobId} from "../../src/types/JobId.sol";
import {OfferTerms} from "../../src/types/Offer.sol";
import {OfferId} from "../../src/types/OfferId.sol";
import {Order} from "../../src/types/Order.sol";
import {UseLibrary} from "../../src/types/Use.sol";
import {Voucher} from "../../src/types/Voucher.sol";
import {TestToken} from "../tokens/TestToken.sol";
import {Lists} from "./Lists.sol";
import {vm} from "./Vm.sol";

/// @notice A market with one provider, one offer and one customer with tokens and an allowance.
/// @dev The market is deployed from its artifact, so that only itself is compiled through the slow IR pipeline.
abstract contract MarketTest is Lists {
    /// Price of the offer: two tokens per GPU-hour.
    uint128 internal constant PRICE = 2e6;
    uint16 internal constant AVAILABLE = 8;
    uint32 internal constant START_WINDOW = 600;
    uint32 internal constant CLAIM_WINDOW = 3600;
    uint32 internal constant MIN_DURATION = 120;
    uint32 internal constant MAX_DURATION = 86_400;
    uint16 internal constant FEE_BPS = 250;
    uint256 internal constant T0 = 1_800_000_000;

    bytes32 internal constant ORDER_TYPE = keccak256(
        "Order(bytes8 offerId,address customer,uint16 gpus,uint32 duration,uint128 maxPrice,uint64 deadline,uint256 salt,bytes32 specHash,bool specOffChain)"
    );
    uint256 internal constant ATTESTOR_KEY = 0xA77E57;
    uint256 internal constant CUSTOMER_KEY = 0xC0571;
    address internal immutable owner = address(0x0111);
    address internal immutable sink = address(0x0222);
    address internal immutable provider = address(0x0333);
    address internal immutable operator = address(0x0444);
    address internal immutable payout = address(0x0555);
    address internal immutable stranger = address(0x0666);
    address internal immutable attestor = vm.addr(ATTESTOR_KEY);
    address internal immutable customer = vm.addr(CUSTOMER_KEY);

    IComputeMarket internal market;
    TestToken internal token;
    OfferId internal offerId;

    function setUp() public virtual {
        vm.warp(T0);
        market = deployMarket(FEE_BPS, sink);
        token = TestToken(vm.deployCode("TestToken.sol:TestToken"));
        vm.prank(provider);
        market.setProvider(operator, payout);
        vm.prank(provider);
        market.setFloor(address(token), 0, 1);
        offerId = post(terms());
        fund(customer, 1e12);
    }

    function deployMarket(uint16 bps, address feeSink) internal returns (IComputeMarket) {
        return IComputeMarket(vm.deployCode("ComputeMarket.sol:ComputeMarket", abi.encode(owner, bps, feeSink)));
    }

    function terms() internal view returns (OfferTerms memory) {
        return OfferTerms({
            provider: provider,
            token: address(token),
            gpuClass: "NVIDIA-H100-80GB-HBM3",
            startWindow: START_WINDOW,
            claimWindow: CLAIM_WINDOW,
            minDuration: MIN_DURATION,
            maxDuration: MAX_DURATION,
            verifier: address(0),
            salt: 0
        });
    }

    function post(OfferTerms memory t) internal returns (OfferId) {
        vm.prank(operator);
        return market.setOffer(t, PRICE, AVAILABLE, type(uint64).max, "{}");
    }

    function fund(address account, uint256 amount) internal {
        token.mint(account, amount);
        vm.prank(account);
        token.approve(address(market), type(uint256).max);
    }

    function open(uint16 gpus, uint32 duration, bytes32 salt) internal returns (JobId) {
        return place(customer, orderOf(offerId, customer, gpus, duration, PRICE, salt, "{}"), "{}");
    }

    /// @dev Somebody places an order and remembers of it what is needed later.
    function place(address by, Order memory order, bytes memory spec) internal returns (JobId id) {
        vm.prank(by);
        id = market.openJob(order, spec);
        remember(id, order.customer, orderHash(order));
    }

    /// @dev As EIP-712 says, without asking the market.
    function digestOf(Order memory order) internal view returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Hawser ComputeMarket"),
                keccak256("1"),
                block.chainid,
                address(market)
            )
        );
        return keccak256(abi.encodePacked(hex"1901", domain, keccak256(abi.encode(ORDER_TYPE, order))));
    }

    function orderHash(Order memory order) internal view returns (bytes32) {
        return keccak256(abi.encode(digestOf(order), order.duration, order.specHash));
    }

    function start(JobId id) internal {
        startAs(id, attestor);
    }

    function startAs(JobId id, address signer) internal {
        address[] memory signers = new address[](1);
        signers[0] = signer;
        vm.prank(operator);
        vm.assertEq(market.startJobs(one(id), signers), 1);
    }

    /// @dev Two GPUs for an hour, started now: a deposit of 4e6.
    function running() internal returns (JobId id) {
        id = open(2, 3600, 0);
        start(id);
    }

    function sign(JobId id, uint64 gpuSeconds) internal view returns (Voucher memory) {
        return signAs(ATTESTOR_KEY, id, gpuSeconds);
    }

    function signAs(uint256 key, JobId id, uint64 gpuSeconds) internal view returns (Voucher memory voucher) {
        bytes32 root = keccak256(abi.encode(id, gpuSeconds));
        (bytes32 r, bytes32 vs) = vm.signCompact(key, market.voucherDigest(id, gpuSeconds, root));
        return Voucher(UseLibrary.pack(id, gpuSeconds), root, r, vs);
    }

    function claim(JobId id, uint64 gpuSeconds) internal returns (uint256) {
        return market.claim(offerId, one(sign(id, gpuSeconds)), noProofs());
    }

    function end(JobId id, uint64 endAt, uint64 expectUsed) internal returns (uint256) {
        uint64[] memory expected = new uint64[](1);
        expected[0] = expectUsed;
        vm.prank(operator);
        return market.endJobs(refs(one(id)), endAt, expected, "done");
    }

    function multicall(address sender, bytes[] memory calls) internal {
        vm.prank(sender);
        Multicall(address(market)).multicall(calls);
    }

    function feesOf(address account) internal view returns (uint256) {
        return market.feesOf(account, address(token));
    }

    function creditOf(address account) internal view returns (uint256) {
        return market.credit(account, address(token));
    }

    /// @dev What the market keeps of an attestor's address.
    function tailOf(address account) internal pure returns (bytes12) {
        return bytes12(uint96(uint160(account)));
    }

    function statusOf(JobId id) internal view returns (JobStatus) {
        return market.job(id).status;
    }

    function assertStatus(JobId id, JobStatus expected) internal view {
        vm.assertEq(uint256(statusOf(id)), uint256(expected), "status");
    }

    /// @dev Every unit that the market has is owed to somebody, and nothing more is owed.
    function assertBooks(JobId id) internal view {
        Job memory job = market.job(id);
        uint256 owed = creditOf(customer) + creditOf(provider) + feesOf(sink) + job.deposit - job.paid;
        vm.assertEq(token.balanceOf(address(market)), owed, "books");
    }

    function expectSkip(JobId id, SkipReason reason) internal {
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.JobSkipped(id, reason);
    }

    function bound(uint256 value, uint256 low, uint256 high) internal pure returns (uint256) {
        return value >= low && value <= high ? value : low + value % (high - low + 1);
    }
}
