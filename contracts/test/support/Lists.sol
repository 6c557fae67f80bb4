// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {JobId} from "../../src/types/JobId.sol";
import {OfferId} from "../../src/types/OfferId.sol";
import {JobRef, Order} from "../../src/types/Order.sol";
import {LastVoucher, Voucher} from "../../src/types/Voucher.sol";

/// @notice Lists of one for calls that take many, and what is remembered of orders for calls that must be told.
abstract contract Lists {
    /// What a customer's software or a provider's keeps of each order.
    mapping(JobId => JobRef) private _known;

    function remember(JobId id, address customer, bytes32 orderHash) internal {
        _known[id] = JobRef(id, customer, orderHash);
    }

    /// @dev Also of a job that nobody ordered: then it proves nothing.
    function ref(JobId id) internal view returns (JobRef memory known) {
        known = _known[id];
        known.id = id;
    }

    function refs(JobId[] memory ids) internal view returns (JobRef[] memory known) {
        known = new JobRef[](ids.length);
        for (uint256 i = 0; i < ids.length; ++i) {
            known[i] = ref(ids[i]);
        }
    }

    /// @dev Without a text it says that none is needed.
    function orderOf(
        OfferId offer,
        address customer_,
        uint16 gpus,
        uint32 duration,
        uint128 maxPrice,
        bytes32 salt,
        bytes memory spec
    ) internal pure returns (Order memory) {
        (bytes32 specHash, bool offChain) = (keccak256(spec), spec.length == 0);
        return Order(offer, customer_, gpus, duration, maxPrice, type(uint64).max, uint256(salt), specHash, offChain);
    }

    function one(JobId id) internal pure returns (JobId[] memory ids) {
        ids = new JobId[](1);
        ids[0] = id;
    }

    function one(JobRef memory known) internal pure returns (JobRef[] memory list) {
        list = new JobRef[](1);
        list[0] = known;
    }

    function one(Voucher memory voucher) internal pure returns (Voucher[] memory vouchers) {
        vouchers = new Voucher[](1);
        vouchers[0] = voucher;
    }

    function one(LastVoucher memory voucher) internal pure returns (LastVoucher[] memory vouchers) {
        vouchers = new LastVoucher[](1);
        vouchers[0] = voucher;
    }

    function one(uint256 value) internal pure returns (uint256[] memory list) {
        list = new uint256[](1);
        list[0] = value;
    }

    function last(Voucher memory voucher, JobRef memory known) internal pure returns (LastVoucher memory) {
        return LastVoucher(voucher.use, voucher.evidenceRoot, voucher.r, voucher.vs, known.customer, known.orderHash);
    }

    function noProofs() internal pure returns (bytes[] memory) {
        return new bytes[](0);
    }
}
