// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarketErrors as Errors} from "../../src/interfaces/IComputeMarketErrors.sol";
import {JobStatus} from "../../src/types/Job.sol";
import {JobId} from "../../src/types/JobId.sol";
import {Order} from "../../src/types/Order.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {vm} from "../support/Vm.sol";

interface Domain {
    function DOMAIN_SEPARATOR() external view returns (bytes32);
    function invalidateUnorderedNonces(uint256 word, uint256 mask) external;
}

/// @notice With the code of Permit2 as it stands on Ethereum (`support/permit2.hex`, of Uniswap's repository, MIT).
contract OpenJobByPermit2Test is MarketTest {
    address private constant PERMIT2 = 0x000000000022D473030F116dDEE9F6B43aC78BA3;
    uint256 private constant NONCE = 77;

    function setUp() public override {
        super.setUp();
        vm.etch(PERMIT2, vm.parseBytes(vm.readFile("test/support/permit2.hex")));
        vm.prank(customer);
        token.approve(address(market), 0);
        vm.prank(customer);
        token.approve(PERMIT2, type(uint256).max);
    }

    function order_() private view returns (Order memory order) {
        order = orderOf(offerId, customer, 2, 3601, PRICE + 5, "salt", "{}");
        order.deadline = uint64(T0 + 60);
    }

    function signed(Order memory order, address spender) private view returns (bytes memory) {
        return signed(order, spender, (uint256(order.maxPrice) * order.gpus * order.duration + 3599) / 3600);
    }

    /// @dev As Permit2 documents it.
    function signed(Order memory order, address spender, uint256 most) private view returns (bytes memory) {
        bytes32 typeHash = keccak256(
            "PermitWitnessTransferFrom(TokenPermissions permitted,address spender,uint256 nonce,uint256 deadline,Order witness)Order(bytes8 offerId,address customer,uint16 gpus,uint32 duration,uint128 maxPrice,uint64 deadline,uint256 salt,bytes32 specHash,bool specOffChain)TokenPermissions(address token,uint256 amount)"
        );
        bytes32 permitted =
            keccak256(abi.encode(keccak256("TokenPermissions(address token,uint256 amount)"), token, most));
        bytes32 witness = keccak256(abi.encode(ORDER_TYPE, order));
        bytes32 message = keccak256(abi.encode(typeHash, permitted, spender, NONCE, order.deadline, witness));
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", Domain(PERMIT2).DOMAIN_SEPARATOR(), message));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(CUSTOMER_KEY, digest);
        return abi.encodePacked(r, s, v);
    }

    function send(Order memory order, bytes memory signature) private returns (JobId) {
        vm.prank(stranger);
        return market.openJobByPermit2(order, "{}", NONCE, signature);
    }

    function test_AnybodyPlacesItAndTheCustomersTokensPay() public {
        Order memory order = order_();
        uint256 before = token.balanceOf(customer);
        JobId id = send(order, signed(order, address(market)));
        remember(id, customer, orderHash(order));
        assertStatus(id, JobStatus.Open);
        vm.assertEq(market.job(id).deposit, 4_001_112);
        vm.assertEq(before - token.balanceOf(customer), 4_001_112);
        assertBooks(id);
        vm.assertTrue(market.isSaltUsed(customer, order.salt));
        vm.assertEq(market.customerOf(ref(id)), customer);
    }

    function test_ASignatureForAnotherOrderOrAnotherSpenderServesNobody() public {
        Order memory order = order_();
        bytes memory signature = signed(order, address(market));
        order.specOffChain = true;
        vm.expectRevert(abi.encodeWithSignature("InvalidSigner()"));
        vm.prank(stranger);
        market.openJobByPermit2(order, "", NONCE, signature);
        order = order_();
        signature = signed(order, stranger);
        vm.expectRevert(abi.encodeWithSignature("InvalidSigner()"));
        send(order, signature);
        signature = signed(order, address(market), 1e12);
        vm.expectRevert(abi.encodeWithSignature("InvalidSigner()"));
        send(order, signature);
    }

    function test_ItIsPlacedOnceAndNotAfterItWasCancelled() public {
        Order memory order = order_();
        bytes memory signature = signed(order, address(market));
        uint256 fork = vm.snapshotState();
        vm.prank(customer);
        market.cancelOrders(one(order.salt));
        vm.expectRevert(abi.encodeWithSelector(Errors.SaltUsed.selector, customer, order.salt));
        send(order, signature);
        vm.revertToState(fork);
        fork = vm.snapshotState();
        vm.prank(customer);
        Domain(PERMIT2).invalidateUnorderedNonces(0, 1 << NONCE);
        vm.expectRevert(abi.encodeWithSignature("InvalidNonce()"));
        send(order, signature);
        vm.revertToState(fork);
        send(order, signature);
        vm.expectRevert(abi.encodeWithSelector(Errors.SaltUsed.selector, customer, order.salt));
        send(order, signature);
        vm.warp(T0 + 61);
        order.salt += 1;
        vm.expectRevert(abi.encodeWithSelector(Errors.OrderExpired.selector, T0 + 60));
        send(order, signature);
    }

    /// @dev On a chain without Permit2 this way is shut, and no other.
    function test_WithoutPermit2OnlyThisWayFails() public {
        Order memory order = order_();
        bytes memory signature = signed(order, address(market));
        vm.etch(PERMIT2, "");
        vm.expectRevert(abi.encodeWithSignature("FailedCall()"));
        send(order, signature);
        vm.prank(customer);
        token.approve(address(market), type(uint256).max);
        place(customer, order, "{}");
        vm.assertEq(market.PERMIT2(), PERMIT2);
    }
}
