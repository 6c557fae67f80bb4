// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {BitMaps} from "@openzeppelin/contracts/utils/structs/BitMaps.sol";
import {Hashes} from "../libraries/Hashes.sol";
import {Price} from "../libraries/Price.sol";
import {JobStatus} from "../types/Job.sol";
import {JobId, JobIdLibrary} from "../types/JobId.sol";
import {JobState, JobStateLibrary} from "../types/JobState.sol";
import {OfferId} from "../types/OfferId.sol";
import {Order} from "../types/Order.sol";
import {Jobs} from "./Jobs.sol";

/// @title How an order is placed and prolonged, whoever wants it and pays
abstract contract Orders is Jobs {
    using Price for JobId;

    /// @dev Salts of signed orders that were placed or cancelled.
    mapping(address customer => BitMaps.BitMap) internal _salts;

    /// @dev Stores and logs an order; the caller has seen to it that the customer wants it, and takes the deposit.
    function _open(Order calldata order, bytes32 digest, uint32 delegation, bytes calldata spec)
        internal
        returns (JobId id, address token, uint256 deposit)
    {
        (address customer, uint256 gpus, uint256 duration) = (order.customer, order.gpus, order.duration);
        require(customer != address(0), ZeroAccount());
        _requireOther(customer);
        require(block.timestamp <= order.deadline, OrderExpired(order.deadline));
        StoredOffer storage stored = _offers[order.offerId];
        Posted memory posted = stored.posted;
        _requireTaken(order.offerId, stored, posted, gpus, duration, order.maxPrice);

        bytes32 specHash = order.specHash;
        uint64 tag;
        (id, tag) = JobIdLibrary.pack(
            order.offerId, posted.price, gpus, customer, Hashes.order(digest, duration, specHash), delegation
        );
        JobSlot storage slot = _jobs[id];
        require(!slot.state.exists(), JobExists(id));
        unchecked {
            slot.state = JobStateLibrary.open(tag, duration, block.timestamp + posted.startWindow);
        }
        emit JobOpened(id, order.offerId, customer, uint32(duration), digest, specHash);
        // Read first: a word that is no bool is refused also where there is a text.
        if (!order.specOffChain || spec.length != 0) _post(id, specHash, spec);
        return (id, posted.token, Price.deposit(posted.price, gpus, duration));
    }

    /// @dev Logs the text of a spec.
    function _post(JobId id, bytes32 specHash, bytes calldata spec) private {
        require(spec.length != 0, SpecMissing(specHash));
        require(spec.length <= TEXT_LIMIT, TextTooLong(spec.length, TEXT_LIMIT));
        require(keccak256(spec) == specHash, SpecMismatch(specHash, keccak256(spec)));
        emit SpecPosted(id, spec);
    }

    /// @dev Reverts where an offer doesn't take such an order.
    function _requireTaken(
        OfferId offerId,
        StoredOffer storage stored,
        Posted memory posted,
        uint256 gpus,
        uint256 duration,
        uint256 maxPrice
    ) private view {
        require(posted.provider != address(0), UnknownOffer(offerId));
        require(block.timestamp <= posted.validUntil, OfferExpired(offerId, posted.validUntil));
        require(gpus != 0 && gpus <= posted.available, GpusUnavailable(gpus, posted.available));
        require(posted.price <= maxPrice, PriceAboveMax(posted.price, maxPrice));
        require(
            duration != 0 && duration >= posted.minDuration && duration <= posted.maxDuration,
            DurationOutOfRange(duration, posted.minDuration, posted.maxDuration)
        );
        _requireAbove(stored, posted, posted.price);
    }

    /// @dev Prolongs a job; the caller takes what that costs from the payer.
    function _prolong(JobId id, uint256 extra, address payer) internal returns (address token, uint256 price) {
        require(extra != 0, ZeroExtra(id));
        JobState state = _jobs[id].state;
        Posted memory posted = _offers[id.offerId()].posted;
        JobStatus status = _status(state);
        require(status == JobStatus.Open || status == JobStatus.Running, WrongStatus(id, status));
        // Such an order can't be started any more: what was paid for it could only be refunded.
        require(
            status == JobStatus.Running || block.timestamp <= state.second(), StartDeadlinePassed(id, state.second())
        );
        require(!state.ending(), EndAnnounced(id, state.end()));
        uint256 duration = state.duration() + extra;
        require(duration <= posted.maxDuration, DurationOutOfRange(duration, posted.minDuration, posted.maxDuration));

        _jobs[id].state = state.withDuration(duration);
        uint256 held = id.deposit(duration);
        emit JobToppedUp(id, id.offerId(), payer, uint32(duration), held);
        return (posted.token, held - id.deposit(state.duration()));
    }
}
