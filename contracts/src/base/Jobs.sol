// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarket} from "../interfaces/IComputeMarket.sol";
import {Hashes} from "../libraries/Hashes.sol";
import {Price} from "../libraries/Price.sol";
import {Job, JobStatus} from "../types/Job.sol";
import {JobId, JobIdLibrary} from "../types/JobId.sol";
import {JobState} from "../types/JobState.sol";
import {OfferId} from "../types/OfferId.sol";
import {Ledger} from "./Ledger.sol";

/// @title Jobs: what is stored of them, how they are read, and the two ways in which a deposit shrinks without a claim
abstract contract Jobs is Ledger {
    using Price for JobId;

    /// @dev What of a job a claim never needs.
    struct Order {
        address customer;
        uint32 startDeadline;
        uint24 minDuration;
        uint24 maxDuration;
        bool ending;
    }

    /// @dev A struct only so that a claim computes the place of the slot once.
    struct JobSlot {
        JobState state;
    }

    mapping(JobId => JobSlot) internal _jobs;
    mapping(JobId => Order) internal _orders;

    /// @inheritdoc IComputeMarket
    function job(JobId id) external view returns (Job memory) {
        JobState state = _jobs[id].state;
        Order memory order = _orders[id];
        bool live = state.duration() != 0;
        uint256 paid = id.paid(state.used());
        return Job({
            status: _status(state, order.customer),
            offerId: id.offerId(),
            customer: order.customer,
            attestor: state.attestor(),
            price: uint128(id.price()),
            gpus: uint16(id.gpus()),
            duration: uint32(state.duration()),
            minDuration: order.minDuration,
            maxDuration: order.maxDuration,
            startDeadline: order.startDeadline,
            started: uint64(state.started()),
            end: live && state.started() != 0 ? uint64(state.end()) : 0,
            ending: order.ending,
            refundableFrom: live ? uint64(_refundableFrom(id, state)) : 0,
            used: uint64(state.used()),
            deposit: live ? id.deposit(state.duration()) : paid,
            paid: paid
        });
    }

    /// @inheritdoc IComputeMarket
    function jobIdOf(
        OfferId offerId,
        uint128 price,
        uint16 gpus,
        address customer,
        uint32 duration,
        bytes32 salt,
        bytes32 specHash
    ) external pure returns (JobId) {
        require(price <= type(uint80).max, PriceTooHigh(price, type(uint80).max));
        return
            JobIdLibrary.pack(offerId, uint80(price), gpus, Hashes.order(offerId, customer, duration, salt, specHash));
    }

    /// @dev Moves the end of a running job forward and credits the price of the time after it.
    function _announceEnd(JobId id, JobState state, uint256 end, string memory reason) internal {
        uint256 duration = end - state.started();
        _jobs[id].state = state.withDuration(duration);
        Order storage order = _orders[id];
        order.ending = true;
        OfferId offerId = id.offerId();
        uint256 released = id.deposit(state.duration()) - id.deposit(duration);
        _credit(order.customer, _offers[offerId].token, released);
        emit JobEndAnnounced(id, offerId, msg.sender, uint64(end), released, reason);
    }

    /// @dev Closes a live job: what of its deposit was not paid is credited to the customer.
    function _close(JobId id, JobState state) internal returns (address customer, uint256 refunded) {
        _jobs[id].state = state.withDuration(0);
        customer = _orders[id].customer;
        refunded = id.deposit(state.duration()) - id.paid(state.used());
        _credit(customer, _offers[id.offerId()].token, refunded);
    }

    function _status(JobState state, address customer) internal view returns (JobStatus) {
        if (customer == address(0)) return JobStatus.None;
        if (state.duration() == 0) return JobStatus.Closed;
        if (state.started() == 0) return JobStatus.Open;
        return block.timestamp < state.end() ? JobStatus.Running : JobStatus.Ended;
    }

    /// @dev First second at which a live job can be closed by anyone: the one after its start deadline or its claim
    /// window, so that no second belongs to both sides and none to neither.
    function _refundableFrom(JobId id, JobState state) internal view returns (uint256) {
        if (state.started() == 0) return uint256(_orders[id].startDeadline) + 1;
        return state.end() + _offers[id.offerId()].claimWindow + 1;
    }
}
