// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarket} from "../../src/interfaces/IComputeMarket.sol";
import {JobStatus} from "../../src/types/Job.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {vm} from "../support/Vm.sol";

/// @notice A permit is public once it is sent: somebody can send it first, and the order that needed it must go on.
contract PermitFrontRunTest is MarketTest {
    function setUp() public override {
        super.setUp();
        vm.prank(customer);
        token.approve(address(market), 0);
    }

    function calls(uint256 value) private view returns (bytes[] memory list, bytes memory permit) {
        bytes32 typeHash =
            keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
        bytes32 message = keccak256(abi.encode(typeHash, customer, address(market), value, token.nonces(customer), T0));
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), message));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(CUSTOMER_KEY, digest);
        list = new bytes[](2);
        list[0] = abi.encodeCall(market.permit, (address(token), value, T0, v, r, s));
        list[1] = abi.encodeCall(market.openJob, (orderOf(offerId, customer, 1, 3600, PRICE, 0, "{}"), "{}"));
        permit = abi.encodeCall(token.permit, (customer, address(market), value, T0, v, r, s));
    }

    function test_SentFirstByAStrangerItStillServesTheOrder() public {
        (bytes[] memory list, bytes memory permit) = calls(2e6);
        vm.prank(stranger);
        (bool ok,) = address(token).call(permit);
        vm.assertTrue(ok);
        multicall(customer, list);
        vm.assertEq(token.balanceOf(address(market)), 2e6);
        assertStatus(market.jobIdOf(orderOf(offerId, customer, 1, 3600, PRICE, 0, "{}"), PRICE, 0), JobStatus.Open);
    }

    function test_AStrangersOrderCantBePaidWithIt() public {
        (bytes[] memory list, bytes memory permit) = calls(2e6);
        vm.prank(stranger);
        (bool ok,) = address(token).call(permit);
        vm.assertTrue(ok);
        vm.expectRevert(
            abi.encodeWithSignature("ERC20InsufficientAllowance(address,uint256,uint256)", address(market), 0, 2e6)
        );
        multicall(stranger, list);
        vm.assertEq(token.balanceOf(customer), 1e12);
    }

    function test_APermitAtAnAddressThatIsNoTokenStopsNothing() public {
        vm.prank(customer);
        token.approve(address(market), 2e6);
        (bytes[] memory list,) = calls(0);
        list[0] = abi.encodeCall(market.permit, (address(market), 2e6, T0, 27, 0, 0));
        multicall(customer, list);
        vm.assertEq(token.balanceOf(address(market)), 2e6);
    }

    function test_APermitAtAnAddressWithoutCodeStopsNothing() public {
        vm.prank(customer);
        token.approve(address(market), 2e6);
        (bytes[] memory list,) = calls(0);
        list[0] = abi.encodeCall(market.permit, (address(0xdead), 2e6, T0, 27, 0, 0));
        multicall(customer, list);
        vm.assertEq(token.balanceOf(address(market)), 2e6);
        market.permit(address(0), 1, T0, 27, 0, 0);
    }
}
