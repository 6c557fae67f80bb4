// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {JobId} from "../types/JobId.sol";
import {OfferTerms} from "../types/Offer.sol";
import {OfferId} from "../types/OfferId.sol";

/// @notice What ids and signatures are hashes of.
library Hashes {
    /// @notice EIP-712 type of a voucher.
    bytes32 internal constant USAGE_VOUCHER =
        keccak256("UsageVoucher(bytes32 jobId,uint256 gpuSeconds,bytes32 evidenceRoot)");

    /// @notice Id of the offer with these terms.
    function offerId(OfferTerms memory terms) internal pure returns (OfferId) {
        return OfferId.wrap(bytes12(keccak256(abi.encode(terms))));
    }

    /// @notice The part of a job's id that holds who ordered what. With it in the id, a reorg can't put another's order in a
    /// job's place. Of 64 bits, a customer can find two workloads of its own with one id (2^32 work).
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
}
