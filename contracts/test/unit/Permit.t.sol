// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarket} from "../../src/interfaces/IComputeMarket.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {vm} from "../support/Vm.sol";

contract PermitTest is MarketTest {
    struct Signature {
        uint8 v;
        bytes32 r;
        bytes32 s;
    }

    function setUp() public override {
        super.setUp();
        vm.prank(customer);
        token.approve(address(market), 0);
    }

    function signPermit(uint256 value) private view returns (Signature memory signature) {
        bytes32 typeHash =
            keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
        bytes32 structHash =
            keccak256(abi.encode(typeHash, customer, address(market), value, token.nonces(customer), T0));
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), structHash));
        (signature.v, signature.r, signature.s) = vm.sign(CUSTOMER_KEY, digest);
    }

    function calls(Signature memory signature) private view returns (bytes[] memory list) {
        list = new bytes[](2);
        list[0] = abi.encodeCall(market.permit, (address(token), 2e6, T0, signature.v, signature.r, signature.s));
        list[1] = abi.encodeCall(market.openJob, (orderOf(offerId, customer, 1, 3600, PRICE, 0, "{}"), "{}"));
    }

    function test_OneSignatureAndOneTransactionOrderAJob() public {
        multicall(customer, calls(signPermit(2e6)));
        vm.assertEq(token.balanceOf(address(market)), 2e6);
    }

    function test_ASignatureThatSomebodySentFirstStillServes() public {
        Signature memory signature = signPermit(2e6);
        vm.prank(stranger);
        token.permit(customer, address(market), 2e6, T0, signature.v, signature.r, signature.s);
        multicall(customer, calls(signature));
        vm.assertEq(token.balanceOf(address(market)), 2e6);
    }

    function test_AnothersSignatureGivesTheCallerNothing() public {
        bytes[] memory list = calls(signPermit(2e6));
        vm.expectRevert(
            abi.encodeWithSignature("ERC20InsufficientAllowance(address,uint256,uint256)", address(market), 0, 2e6)
        );
        multicall(stranger, list);
        vm.assertEq(token.allowance(customer, address(market)), 0);
    }
}
