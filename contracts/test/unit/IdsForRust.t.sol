// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarket} from "../../src/interfaces/IComputeMarket.sol";
import {JobId, JobIdLibrary} from "../../src/types/JobId.sol";
import {OfferTerms} from "../../src/types/Offer.sol";
import {OfferId} from "../../src/types/OfferId.sol";
import {Order} from "../../src/types/Order.sol";
import {vm} from "../support/Vm.sol";

/// @notice Ids and hashes of one order on one market of one chain: the crate `hawser-market` tests the same values.
contract IdsForRustTest {
    IComputeMarket private market;

    function setUp() public {
        vm.chainId(31_337);
        market = IComputeMarket(vm.deployCode("ComputeMarket.sol:ComputeMarket", abi.encode(address(1), 0, address(0))));
        vm.assertEq(address(market), 0x5615dEB798BB3E4dFa0139dFa1b3D433Cc23b72f);
    }

    function test_AnOfferIsNamedByTermsMarketAndChain() public view {
        OfferTerms memory terms = OfferTerms({
            provider: address(1),
            token: address(2),
            gpuClass: bytes32("NVIDIA-H200"),
            startWindow: 600,
            claimWindow: 7200,
            minDuration: 60,
            maxDuration: 86_400,
            verifier: address(3),
            salt: bytes32(uint256(4))
        });
        vm.assertEq(bytes32(OfferId.unwrap(market.offerIdOf(terms))), bytes32(bytes8(0x1ed852e8909cb453)));
    }

    function test_AnOrderIsHashed() public view {
        vm.assertEq(market.orderHashOf(order()), 0x7ddcd0e8448f6cb61e14a3be5daa70616e398dff0a53d4856799343143f95838);
    }

    function test_AJobIsNamedByItsOrderAndDelegation() public view {
        JobId own = market.jobIdOf(order(), 2_500_000, 0);
        JobId delegated = market.jobIdOf(order(), 2_500_000, 7);
        vm.assertEq(
            JobId.unwrap(own), bytes32(uint256(0xabababababababab000000000000002625a000087e594a607fffb3c002515d75))
        );
        vm.assertEq(
            JobId.unwrap(delegated),
            bytes32(uint256(0xabababababababab000000000000002625a00008800000077fffb3c002515d75))
        );
    }

    /// @dev What the market keeps of the hash beside the id: bytes 12 to 19 of `keccak256(head, customer, orderHash)`.
    function test_AnOrderHasATagBesideItsId() public view {
        bytes32 orderHash = market.orderHashOf(order());
        (, uint64 own) = JobIdLibrary.pack(order().offerId, 2_500_000, 8, address(5), orderHash, 0);
        (, uint64 delegated) = JobIdLibrary.pack(order().offerId, 2_500_000, 8, address(5), orderHash, 7);
        vm.assertEq(uint256(own), 0x83ae2ddd724c0ef5);
        vm.assertEq(uint256(delegated), 0x83ae2ddd724c0ef5);
    }

    function order() private pure returns (Order memory) {
        return Order({
            offerId: OfferId.wrap(0xabababababababab),
            customer: address(5),
            gpus: 8,
            duration: 3600,
            maxPrice: 2_500_000,
            deadline: 1_800_000_000,
            salt: 6,
            specHash: keccak256("spec"),
            specOffChain: true
        });
    }
}
