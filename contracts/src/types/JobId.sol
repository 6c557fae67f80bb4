// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {OfferId} from "./OfferId.sol";

/// @notice Name of a job, which carries what the order locked:
/// `offerId 64 | price 80 | gpus 16 | order 96`, most significant bits first. The last field is
/// `0 | hash 95` of an order that its customer placed, signed, or had paid by another, and
/// `1 | delegation 31 | hash 64` of one that a delegate placed.
/// The hash covers chain and market, so no two markets have a job of the same name.
/// @dev Claims read price and GPUs from the id, so they cost no storage. Who is refunded is in the hash too, and must be
/// told and proved where it is needed. 95 bits alone would not prove it: whoever drafts an order that another account signs
/// could find one of its own with the same 95 bits (2^48 work). So 64 further bits of the hash, the order's tag, are kept in
/// the job's state from the order on: 159 bits in all, 2^79 work. What a delegate placed names the delegation outside the
/// hash, and its principal is read from storage: there is nothing to prove.
type JobId is bytes32;

using JobIdLibrary for JobId global;
using {equals as ==, differs as !=} for JobId global;

function equals(JobId a, JobId b) pure returns (bool) {
    return JobId.unwrap(a) == JobId.unwrap(b);
}

function differs(JobId a, JobId b) pure returns (bool) {
    return JobId.unwrap(a) != JobId.unwrap(b);
}

/// @notice Packs and unpacks a `JobId`.
library JobIdLibrary {
    uint256 private constant ORDER = type(uint96).max;
    uint256 private constant DELEGATED = 1 << 95;
    uint256 private constant HASH_OF_DELEGATED = type(uint64).max;
    uint256 private constant TAG_AT = 96;

    /// @notice Builds the id of an order, and its tag: what the job's state keeps of the hash besides.
    /// @param offerId_ Offer that was ordered.
    /// @param price_ Locked price, token units per GPU-hour.
    /// @param gpus_ Number of GPUs.
    /// @param customer Who is refunded.
    /// @param orderHash Hash of the order (`Hashes.order`).
    /// @param delegation_ Delegation by which it was placed; 0 where it was none.
    function pack(
        OfferId offerId_,
        uint256 price_,
        uint256 gpus_,
        address customer,
        bytes32 orderHash,
        uint256 delegation_
    ) internal pure returns (JobId id, uint64 tag) {
        uint256 head =
            (uint256(uint64(OfferId.unwrap(offerId_))) << 192) | (price_ << 112) | (gpus_ << 96);
        uint256 hash = hashOf(head, customer, orderHash);
        tag = uint64(hash >> TAG_AT);
        if (delegation_ == 0) return (JobId.wrap(bytes32(head | (hash & (DELEGATED - 1)))), tag);
        return (JobId.wrap(bytes32(head | DELEGATED | (delegation_ << 64) | (hash & HASH_OF_DELEGATED))), tag);
    }

    /// @notice Whether an order that no delegate placed was this customer's, with this hash.
    /// @param tag Tag of the order, from the job's state.
    function isOrder(JobId id, uint64 tag, address customer, bytes32 orderHash) internal pure returns (bool) {
        uint256 word = uint256(JobId.unwrap(id));
        uint256 hash = hashOf(word & ~ORDER, customer, orderHash);
        return (hash & (DELEGATED - 1)) == (word & ORDER) && uint64(hash >> TAG_AT) == tag;
    }

    /// @notice Offer that was ordered.
    function offerId(JobId id) internal pure returns (OfferId) {
        return OfferId.wrap(bytes8(JobId.unwrap(id)));
    }

    /// @notice Locked price, token units per GPU-hour.
    function price(JobId id) internal pure returns (uint256) {
        return uint80(uint256(JobId.unwrap(id)) >> 112);
    }

    /// @notice Number of GPUs.
    function gpus(JobId id) internal pure returns (uint256) {
        return uint16(uint256(JobId.unwrap(id)) >> 96);
    }

    /// @notice Delegation by which the order was placed; 0 where it was none.
    function delegation(JobId id) internal pure returns (uint32) {
        uint256 word = uint256(JobId.unwrap(id));
        return word & DELEGATED == 0 ? 0 : uint32((word >> 64) & type(uint32).max >> 1);
    }

    /// @dev With all that stands outside the hash, so that a preimage fits jobs of one offer, price and number of GPUs only.
    function hashOf(uint256 head, address customer, bytes32 orderHash) private pure returns (uint256 hash) {
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore(free, head)
            mstore(add(free, 0x20), customer)
            mstore(add(free, 0x40), orderHash)
            hash := keccak256(free, 0x60)
        }
    }
}
