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
    function job(JobId id) external view returns (Job memory) {
        JobState state = _jobs[id].state;
        Posted memory posted = _offers[id.offerId()].posted;
        bool live = state.duration() != 0;
        bool started = state.isStarted();
        uint256 paid = id.paid(state.used());
        return Job({
            status: _status(state),
            offerId: id.offerId(),
            delegation: id.delegation(),
            attestor: state.attestor(),
            price: uint128(id.price()),
            gpus: uint16(id.gpus()),
            duration: uint32(state.duration()),
            minDuration: posted.minDuration,
            maxDuration: posted.maxDuration,
            startDeadline: started ? 0 : uint64(state.second()),
            started: started ? uint64(state.second()) : 0,
            end: live && started ? uint64(state.end()) : 0,
            ending: state.ending(),
            refundableFrom: live ? uint64(_refundableFrom(id, state)) : 0,
            used: uint64(state.used()),
            deposit: live ? id.deposit(state.duration()) : paid,
            paid: paid
        });
    }

    /// @inheritdoc IMarketJobs
    function customerOf(JobRef calldata ref) external view returns (address) {
        return _customerOf(ref.id, ref.customer, ref.orderHash);
    }

    /// @inheritdoc IMarketJobs
    function jobIdOf(Order calldata order, uint128 price, uint32 delegation) external view returns (JobId) {
        require(price <= type(uint80).max, PriceTooHigh(price, type(uint80).max));
        (, bytes32 orderHash) = _hashesOf(order);
        return JobIdLibrary.pack(order.offerId, price, order.gpus, order.customer, orderHash, delegation);
    }

    /// @inheritdoc IMarketJobs
    function orderHashOf(Order calldata order) external view returns (bytes32 orderHash) {
        (, orderHash) = _hashesOf(order);
    }

    /// @inheritdoc IMarketJobs
    function orderDigest(Order calldata order) external view returns (bytes32 digest) {
        (digest,) = _hashesOf(order);
    }

    /// @inheritdoc IMarketJobs
    function voucherDigest(JobId id, uint256 gpuSeconds, bytes32 evidenceRoot) external view returns (bytes32) {
        return _hashTypedDataV4(Hashes.usageVoucher(id, gpuSeconds, evidenceRoot));
    }
}
