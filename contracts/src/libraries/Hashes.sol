// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {JobId} from "../types/JobId.sol";
import {OfferTerms} from "../types/Offer.sol";
import {OfferId} from "../types/OfferId.sol";
import {Order} from "../types/Order.sol";

/// @notice What ids and signatures are hashes of.
library Hashes {
    /// @notice EIP-712 type of a voucher.
    bytes32 internal constant USAGE_VOUCHER =
        keccak256("UsageVoucher(bytes32 jobId,uint256 gpuSeconds,bytes32 evidenceRoot)");

    string private constant ORDER_TYPE =
        "Order(bytes8 offerId,address customer,uint16 gpus,uint32 duration,uint128 maxPrice,uint64 deadline,uint256 salt,bytes32 specHash,bool specOffChain)";

    /// @notice EIP-712 type of an order.
    bytes32 internal constant ORDER = keccak256(bytes(ORDER_TYPE));

    /// @notice How Permit2 is told that an order is signed together with the transfer that pays for it.
    string internal constant ORDER_WITNESS =
        string.concat("Order witness)", ORDER_TYPE, "TokenPermissions(address token,uint256 amount)");

    /// @notice Id on this market of the offer with these terms.
    function offerId(OfferTerms memory terms) internal view returns (OfferId) {
        return OfferId.wrap(bytes8(keccak256(abi.encode(terms, address(this), block.chainid))));
    }

    /// @notice EIP-712 struct hash of an order.
    /// @dev Copied as it lies in calldata: whoever calls this reads each field of a type below 256 bits, which fails where
    /// there is more in its word than the type holds.
    function orderStruct(Order calldata signed) internal pure returns (bytes32 hash) {
        bytes32 typeHash = ORDER;
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore(free, typeHash)
            calldatacopy(add(free, 0x20), signed, 0x120)
            hash := keccak256(free, 0x140)
        }
    }

    /// @notice Hash of an order, in its job's id. The duration and the hash of the spec stand beside the digest, so that
    /// whoever is told of an order can see that they belong to its id, without what else was signed.
    /// @param digest EIP-712 digest of the order, which names chain and market.
    function order(bytes32 digest, uint256 duration, bytes32 specHash) internal pure returns (bytes32 hash) {
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore(free, digest)
            mstore(add(free, 0x20), duration)
            mstore(add(free, 0x40), specHash)
            hash := keccak256(free, 0x60)
        }
    }

    /// @notice EIP-712 struct hash of a voucher.
    function usageVoucher(JobId id, uint256 gpuSeconds, bytes32 evidenceRoot) internal pure returns (bytes32) {
        return keccak256(abi.encode(USAGE_VOUCHER, id, gpuSeconds, evidenceRoot));
    }
}
