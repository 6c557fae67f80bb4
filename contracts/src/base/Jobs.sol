// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Hashes} from "../libraries/Hashes.sol";
import {Price} from "../libraries/Price.sol";
import {JobStatus} from "../types/Job.sol";
import {JobId} from "../types/JobId.sol";
import {JobState} from "../types/JobState.sol";
import {OfferId} from "../types/OfferId.sol";
import {Order} from "../types/Order.sol";
import {Delegations} from "./Delegations.sol";

/// @title Jobs: what is stored of them, how they are read, and the two ways in which a deposit shrinks without a claim
abstract contract Jobs is Delegations, EIP712 {
    using Price for JobId;

    /// @dev A struct only so that a claim computes the place of the slot once.
    struct JobSlot {
        JobState state;
    }

    mapping(JobId => JobSlot) internal _jobs;

    /// @dev What is signed of an order.
    function _digestOf(Order calldata order) internal view returns (bytes32) {
        return _hashTypedDataV4(Hashes.orderStruct(order));
    }

    /// @dev The hash of an order that is in its job's id.
    function _hashOf(Order calldata order) internal view returns (bytes32) {
        return Hashes.order(_digestOf(order), order.duration, order.specHash);
    }

    /// @dev Whose job it is; zero where customer and hash that were told are not those of its order.
    function _customerOf(JobId id, JobState state, address customer, bytes32 orderHash)
        internal
        view
        returns (address)
    {
        uint32 delegation = id.delegation();
        if (delegation != 0) return _principalOf(delegation);
        return id.isOrder(state.tag(), customer, orderHash) ? customer : address(0);
    }

    /// @dev Moves the end of a running job forward and credits the price of the time after it.
    function _announceEnd(JobId id, JobState state, address customer, uint256 end, string memory reason) internal {
        uint256 duration = end - state.second();
        _jobs[id].state = state.withEnding(duration);
        OfferId offerId = id.offerId();
        uint256 released = id.deposit(state.duration()) - id.deposit(duration);
        _credit(customer, _offers[offerId].posted.token, released);
        emit JobEndAnnounced(id, offerId, customer, msg.sender, uint64(end), released, reason);
    }

    /// @dev Closes a live job: what of its deposit was not paid is credited to the customer.
    function _close(JobId id, JobState state, address customer) internal returns (uint256 refunded) {
        _jobs[id].state = state.withDuration(0);
        refunded = id.deposit(state.duration()) - id.paid(state.used());
        _credit(customer, _offers[id.offerId()].posted.token, refunded);
    }

    function _status(JobState state) internal view returns (JobStatus) {
        if (!state.exists()) return JobStatus.None;
        if (state.duration() == 0) return JobStatus.Closed;
        if (!state.isStarted()) return JobStatus.Open;
        return block.timestamp < state.end() ? JobStatus.Running : JobStatus.Ended;
    }

    /// @dev First second at which a live job can be closed by anyone: the one after its start deadline or its claim
    /// window, so that no second belongs to both sides and none to neither.
    function _refundableFrom(JobId id, JobState state) internal view returns (uint256) {
        if (!state.isStarted()) return state.second() + 1;
        return state.end() + _offers[id.offerId()].claimWindow + 1;
    }
}
