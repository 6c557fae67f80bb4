// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarket} from "../../src/interfaces/IComputeMarket.sol";
import {JobId} from "../../src/types/JobId.sol";
import {vm} from "../support/Vm.sol";

/// @notice The digest that attestors sign, for one voucher on one chain: the Rust bindings test the same value.
contract VoucherDigestTest {
    function test_TheDigestIsTheOneThatAttestorsSign() public {
        vm.chainId(31_337);
        address market = vm.deployCode("ComputeMarket.sol:ComputeMarket", abi.encode(address(1), 0, address(0)));
        JobId id = JobId.wrap(0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f);
        bytes32 root = 0xeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee;
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Hawser ComputeMarket"),
                keccak256("1"),
                31_337,
                market
            )
        );
        bytes32 message = keccak256(
            abi.encode(keccak256("UsageVoucher(bytes32 jobId,uint256 gpuSeconds,bytes32 evidenceRoot)"), id, 5400, root)
        );
        vm.assertEq(
            IComputeMarket(market).voucherDigest(id, 5400, root),
            keccak256(abi.encodePacked(hex"1901", domain, message))
        );
        vm.assertEq(market, 0x5615dEB798BB3E4dFa0139dFa1b3D433Cc23b72f);
        vm.assertEq(
            IComputeMarket(market).voucherDigest(id, 5400, root),
            0x5ef4e4cac7b2ee85c9d3c4f634f0b6d4920cf3518584560eaf6efda3d06ef695
        );
    }
}
