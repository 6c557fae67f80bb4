// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IMarketRunning} from "../interfaces/IMarketRunning.sol";
import {SkipReason} from "../types/Job.sol";
import {JobId} from "../types/JobId.sol";
import {JobState} from "../types/JobState.sol";
import {OfferId} from "../types/OfferId.sol";
import {JobRef} from "../types/Order.sol";
import {Jobs} from "../base/Jobs.sol";

/// @title What a provider does with orders, and what time does
abstract contract Running is Jobs, IMarketRunning {
    /// @inheritdoc IMarketRunning
    uint256 public constant MAX_REASON = 256;

    /// @inheritdoc IMarketRunning
    function declineJobs(JobRef[] calldata refs, string calldata reason) external returns (uint256 done) {
        _requireReason(reason);
        for (uint256 i = 0; i < refs.length; ++i) {
            JobId id = refs[i].id;
            JobState state = _jobs[id].state;
            StoredOffer storage stored = _offers[id.offerId()];
            address customer = _customerOf(id, state, refs[i].customer, refs[i].orderHash);
            if (!_isOperator(stored.posted.provider)) {
                emit JobSkipped(id, SkipReason.NotOperator);
            } else if (state.duration() == 0) {
                emit JobSkipped(id, SkipReason.NotLive);
            } else if (state.isStarted()) {
                emit JobSkipped(id, SkipReason.AlreadyStarted);
            } else if (customer == address(0)) {
                emit JobSkipped(id, SkipReason.WrongOrder);
            } else {
                ++stored.declined;
                emit JobDeclined(id, customer, _close(id, state, customer), reason);
                ++done;
            }
        }
    }

    /// @inheritdoc IMarketRunning
    function startJobs(JobId[] calldata ids, address[] calldata attestors) external returns (uint256 done) {
        require(ids.length == attestors.length, LengthMismatch(ids.length, attestors.length));
        OfferId offerId;
        bool allowed = false;
        for (uint256 i = 0; i < ids.length; ++i) {
            JobId id = ids[i];
            if (id.offerId() != offerId) {
                offerId = id.offerId();
                allowed = _isOperator(_offers[offerId].posted.provider);
            }
            if (!allowed) emit JobSkipped(id, SkipReason.NotOperator);
            else if (_start(id, attestors[i])) ++done;
        }
    }

    /// @inheritdoc IMarketRunning
    function endJobs(JobRef[] calldata refs, uint64 endAt, uint64[] calldata expectUsed, string calldata reason)
        external
        returns (uint256 done)
    {
        require(refs.length == expectUsed.length, LengthMismatch(refs.length, expectUsed.length));
        _requireReason(reason);
        for (uint256 i = 0; i < refs.length; ++i) {
            if (_end(refs[i], endAt, expectUsed[i], reason)) ++done;
        }
    }

    /// @inheritdoc IMarketRunning
    function refund(JobRef[] calldata refs) external returns (uint256 done) {
        for (uint256 i = 0; i < refs.length; ++i) {
            JobId id = refs[i].id;
            JobState state = _jobs[id].state;
            address customer = _customerOf(id, state, refs[i].customer, refs[i].orderHash);
            if (state.duration() == 0) {
                emit JobSkipped(id, SkipReason.NotLive);
            } else if (block.timestamp < _refundableFrom(id, state)) {
                emit JobSkipped(id, SkipReason.TooEarly);
            } else if (customer == address(0)) {
                emit JobSkipped(id, SkipReason.WrongOrder);
            } else {
                StoredOffer storage stored = _offers[id.offerId()];
                if (!state.isStarted()) ++stored.notStarted;
                else if (!state.ending()) ++stored.completed;
                emit JobRefunded(id, customer, _close(id, state, customer));
                ++done;
            }
        }
    }

    /// @dev A reason is logged once for each job of a batch.
    function _requireReason(string calldata reason) private pure {
        require(bytes(reason).length <= MAX_REASON, TextTooLong(bytes(reason).length, MAX_REASON));
    }

    /// @dev Starts a job or rotates its attestor; logs why not where it can't.
    function _start(JobId id, address attestor) private returns (bool) {
        JobState state = _jobs[id].state;
        uint96 tail = uint96(uint160(attestor));
        if (state.duration() == 0) {
            emit JobSkipped(id, SkipReason.NotLive);
        } else if (tail == 0) {
            emit JobSkipped(id, SkipReason.ZeroAttestor);
        } else if (state.isStarted()) {
            // Its use can be claimed for as long, and whoever put a wrong one in last must not have the last word.
            if (block.timestamp < _refundableFrom(id, state)) {
                _jobs[id].state = state.withStart(tail, state.second());
                emit AttestorRotated(id, attestor);
                return true;
            }
            emit JobSkipped(id, SkipReason.AlreadyEnded);
        } else if (block.timestamp > state.second()) {
            emit JobSkipped(id, SkipReason.DeadlinePassed);
        } else {
            _jobs[id].state = state.withStart(tail, block.timestamp);
            emit JobStarted(id, attestor);
            return true;
        }
        return false;
    }

    /// @dev Ends a job, or announces its end; logs why not where it can't.
    function _end(JobRef calldata ref, uint64 endAt, uint256 expectUsed, string calldata reason)
        private
        returns (bool)
    {
        JobId id = ref.id;
        JobState state = _jobs[id].state;
        StoredOffer storage stored = _offers[id.offerId()];
        address customer = _customerOf(id, state, ref.customer, ref.orderHash);
        if (!_isOperator(stored.posted.provider)) {
            emit JobSkipped(id, SkipReason.NotOperator);
        } else if (state.duration() == 0) {
            emit JobSkipped(id, SkipReason.NotLive);
        } else if (!state.isStarted()) {
            emit JobSkipped(id, SkipReason.NotStarted);
        } else if (state.used() < expectUsed) {
            emit JobSkipped(id, SkipReason.UnclaimedUse);
        } else if (endAt != 0 && endAt <= block.timestamp) {
            emit JobSkipped(id, SkipReason.EndPassed);
        } else if (endAt != 0 && endAt >= state.end()) {
            emit JobSkipped(id, SkipReason.EndNotEarlier);
        } else if (customer == address(0)) {
            emit JobSkipped(id, SkipReason.WrongOrder);
        } else {
            // One of which an end was announced was counted then.
            if (!state.ending()) block.timestamp < state.end() ? ++stored.endedByProvider : ++stored.completed;
            if (endAt != 0) _announceEnd(id, state, customer, endAt, reason);
            else emit JobEnded(id, customer, state.used(), _close(id, state, customer), reason);
            return true;
        }
        return false;
    }
}
