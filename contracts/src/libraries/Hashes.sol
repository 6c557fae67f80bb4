// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {JobId} from "../types/JobId.sol";
import {OfferTerms} from "../types/Offer.sol";
import {OfferId} from "../types/OfferId.sol";
import {Voucher} from "../types/Voucher.sol";

/// @notice What ids and signatures are hashes of.
library Hashes {
    /// @notice EIP-712 type of a voucher.
    bytes32 internal constant USAGE_VOUCHER =
        keccak256("UsageVoucher(bytes32 jobId,uint256 gpuSeconds,bytes32 evidenceRoot)");

    /// @notice Id of the offer with these terms.
    function offerId(OfferTerms memory terms) internal pure returns (OfferId) {
        return OfferId.wrap(bytes12(keccak256(abi.encode(terms))));
    }

    /// @notice The part of a job's id that holds who ordered what. With it in the id, a reorg can't put another order
    /// in a job's place.
    function order(OfferId offer, address customer, uint256 duration, bytes32 salt, bytes32 specHash)
        internal
        pure
        returns (bytes8)
    {
        return bytes8(keccak256(abi.encode(offer, customer, duration, salt, specHash)));
    }

    /// @notice EIP-712 struct hash of a voucher.
    function usageVoucher(JobId id, uint256 gpuSeconds, bytes32 evidenceRoot) internal pure returns (bytes32) {
        return keccak256(abi.encode(USAGE_VOUCHER, id, gpuSeconds, evidenceRoot));
    }

    /// @notice EIP-712 digest of a voucher, as `usageVoucher` and the domain give it.
    /// @dev The signed fields are the first three words of a `Voucher`, so they are copied as they lie in calldata.
    function voucherDigest(bytes32 domain, Voucher calldata voucher) internal pure returns (bytes32 digest) {
        bytes32 typeHash = USAGE_VOUCHER;
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore(free, typeHash)
            calldatacopy(add(free, 0x20), voucher, 0x60)
            let structHash := keccak256(free, 0x80)
            mstore(free, "\x19\x01")
            mstore(add(free, 0x02), domain)
            mstore(add(free, 0x22), structHash)
            digest := keccak256(free, 0x42)
        }
    }
}
