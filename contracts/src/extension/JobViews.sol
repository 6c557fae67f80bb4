// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Jobs} from "../base/Jobs.sol";
import {IMarketJobs} from "../interfaces/IMarketJobs.sol";
import {Hashes} from "../libraries/Hashes.sol";
import {Price} from "../libraries/Price.sol";
import {Job} from "../types/Job.sol";
import {JobId, JobIdLibrary} from "../types/JobId.sol";
import {JobState} from "../types/JobState.sol";
import {JobRef, Order} from "../types/Order.sol";

/// @title How jobs stand, and what ids and signatures are made of
abstract contract JobViews is Jobs, IMarketJobs {
    using Price for JobId;

    /// @inheritdoc IMarketJobs
    function job(JobId id) external view returns (Job memory found) {
        JobState state = _jobs[id].state;
        Posted memory posted = _offers[id.offerId()].posted;
        bool live = state.duration() != 0;
        uint256 paid = id.paid(state.used());
        found.status = _status(state);
        found.offerId = id.offerId();
        found.delegation = id.delegation();
        found.attestor = bytes12(state.attestor());
        found.orderTag = bytes8(state.tag());
        found.price = uint128(id.price());
        found.gpus = uint16(id.gpus());
        found.duration = uint32(state.duration());
        found.minDuration = posted.minDuration;
        found.maxDuration = posted.maxDuration;
        if (state.isStarted()) found.started = uint64(state.second());
        else found.startDeadline = uint64(state.second());
        if (live && state.isStarted()) found.end = uint64(state.end());
        found.ending = state.ending();
        if (live) found.refundableFrom = uint64(_refundableFrom(id, state));
        found.used = uint64(state.used());
        found.deposit = live ? id.deposit(state.duration()) : paid;
        found.paid = paid;
    }

    /// @inheritdoc IMarketJobs
    function customerOf(JobRef calldata ref) external view returns (address) {
        return _customerOf(ref.id, _jobs[ref.id].state, ref.customer, ref.orderHash);
    }

    /// @inheritdoc IMarketJobs
    function isAttestor(JobId id, address account) external view returns (bool) {
        uint96 tail = uint96(uint160(account));
        return tail != 0 && tail == _jobs[id].state.attestor();
    }

    /// @inheritdoc IMarketJobs
    function jobIdOf(Order calldata order, uint128 price, uint32 delegation) external view returns (JobId id) {
        require(price <= type(uint80).max, PriceTooHigh(price, type(uint80).max));
        require(delegation <= DELEGATION_LIMIT, DelegationTooHigh(delegation, DELEGATION_LIMIT));
        bytes32 orderHash = _hashOf(order);
        (id,) = JobIdLibrary.pack(order.offerId, price, order.gpus, order.customer, orderHash, delegation);
    }

    /// @inheritdoc IMarketJobs
    function orderHashOf(Order calldata order) external view returns (bytes32 orderHash) {
        orderHash = _hashOf(order);
    }

    /// @inheritdoc IMarketJobs
    function orderDigest(Order calldata order) external view returns (bytes32 digest) {
        digest = _digestOf(order);
    }

    /// @inheritdoc IMarketJobs
    function voucherDigest(JobId id, uint256 gpuSeconds, bytes32 evidenceRoot) external view returns (bytes32) {
        return _hashTypedDataV4(Hashes.usageVoucher(id, gpuSeconds, evidenceRoot));
    }
}
