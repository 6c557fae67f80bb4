// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {Multicall} from "@openzeppelin/contracts/utils/Multicall.sol";
import {Fees} from "./base/Fees.sol";
import {Jobs} from "./base/Jobs.sol";
import {IComputeMarket} from "./interfaces/IComputeMarket.sol";
import {ClaimLog, ClaimLogLibrary} from "./libraries/ClaimLog.sol";
import {Hashes} from "./libraries/Hashes.sol";
import {Price} from "./libraries/Price.sol";
import {VoucherCheck, VoucherCheckLibrary} from "./libraries/VoucherCheck.sol";
import {Vouchers} from "./libraries/Vouchers.sol";
import {JobStatus, SkipReason} from "./types/Job.sol";
import {JobId, JobIdLibrary} from "./types/JobId.sol";
import {JobState, JobStateLibrary} from "./types/JobState.sol";
import {OfferId} from "./types/OfferId.sol";
import {Voucher} from "./types/Voucher.sol";

/// @title Market for GPU time: orders, starts, claims and ends
/// @notice What each function means is said in `IComputeMarket`.
contract ComputeMarket is Jobs, Fees, EIP712, Multicall {
    using Price for JobId;

    /// @dev What a claim needs for each of its vouchers, and what it adds up over them.
    struct Batch {
        bytes32 offerId;
        uint256 claimWindow;
        VoucherCheck check;
        ClaimLog next;
        uint256 gpuSeconds;
        uint256 paid;
    }

    /// @inheritdoc IComputeMarket
    uint32 public constant END_NOTICE = 60;

    /// @param owner Who sets the fee.
    /// @param bps First fee, in hundredths of a percent.
    /// @param sink First receiver of the fee.
    constructor(address owner, uint16 bps, address sink)
        EIP712("Hawser ComputeMarket", "1")
        Ownable(owner)
        Fees(bps, sink)
    {}

    // ----------------------------------------------------------------------------------------------------- customer

    /// @inheritdoc IComputeMarket
    function openJob(OfferId offerId, uint16 gpus, uint32 duration, uint128 maxPrice, bytes32 salt, bytes calldata spec)
        external
        nonReentrant
        returns (JobId id)
    {
        StoredOffer memory posted = _offers[offerId];
        _requireTaken(offerId, posted, gpus, duration, maxPrice);
        require(spec.length <= MAX_TEXT, TextTooLong(spec.length, MAX_TEXT));

        bytes8 order = Hashes.order(offerId, msg.sender, duration, salt, keccak256(spec));
        id = JobIdLibrary.pack(offerId, posted.price, gpus, order);
        require(_orders[id].customer == address(0), JobExists(id));

        uint256 startDeadline = block.timestamp + posted.startWindow;
        _jobs[id].state = JobStateLibrary.open(duration);
        _orders[id] = Order(msg.sender, uint32(startDeadline), posted.minDuration, posted.maxDuration, false);
        uint256 deposit = id.deposit(duration);
        emit JobOpened(id, offerId, msg.sender, duration, uint64(startDeadline), deposit, salt, spec);

        _take(posted.token, deposit);
    }

    /// @inheritdoc IComputeMarket
    function topUp(JobId id, uint32 extra) external nonReentrant {
        JobState state = _jobs[id].state;
        Order memory order = _orders[id];
        _requireCustomer(id, order);
        JobStatus status = _status(state, order.customer);
        require(status == JobStatus.Open || status == JobStatus.Running, WrongStatus(id, status));
        // Such an order can't be started any more: what was paid for it could only be refunded.
        require(
            status == JobStatus.Running || block.timestamp <= order.startDeadline,
            StartDeadlinePassed(id, order.startDeadline)
        );
        require(!order.ending, EndAnnounced(id, state.end()));
        uint256 duration = state.duration() + extra;
        require(duration <= order.maxDuration, DurationOutOfRange(duration, order.minDuration, order.maxDuration));

        _jobs[id].state = state.withDuration(duration);
        uint256 deposit = id.deposit(duration);
        emit JobToppedUp(id, id.offerId(), uint32(duration), deposit);

        _take(_offers[id.offerId()].token, deposit - id.deposit(state.duration()));
    }

    /// @inheritdoc IComputeMarket
    function endJob(JobId id) external returns (uint64) {
        JobState state = _jobs[id].state;
        Order memory order = _orders[id];
        _requireCustomer(id, order);
        JobStatus status = _status(state, order.customer);
        require(status == JobStatus.Running, WrongStatus(id, status));

        uint256 end = Math.max(block.timestamp + END_NOTICE, state.started() + order.minDuration);
        require(end < state.end(), EndNotEarlier(id, end, state.end()));
        _announceEnd(id, state, end, "");
        return uint64(end);
    }

    // ----------------------------------------------------------------------------------------------------- operator

    /// @inheritdoc IComputeMarket
    function declineJobs(JobId[] calldata ids, string calldata reason) external returns (uint256 done) {
        _requireReason(reason);
        for (uint256 i = 0; i < ids.length; ++i) {
            JobId id = ids[i];
            JobState state = _jobs[id].state;
            if (!_isOperator(_offers[id.offerId()].provider)) {
                emit JobSkipped(id, SkipReason.NotOperator);
            } else if (state.duration() == 0) {
                emit JobSkipped(id, SkipReason.NotLive);
            } else if (state.started() != 0) {
                emit JobSkipped(id, SkipReason.AlreadyStarted);
            } else {
                (address customer, uint256 refunded) = _close(id, state);
                emit JobDeclined(id, customer, refunded, reason);
                ++done;
            }
        }
    }

    /// @inheritdoc IComputeMarket
    function startJobs(JobId[] calldata ids, address[] calldata attestors) external returns (uint256 done) {
        require(ids.length == attestors.length, LengthMismatch(ids.length, attestors.length));
        OfferId offerId;
        bool allowed = false;
        for (uint256 i = 0; i < ids.length; ++i) {
            JobId id = ids[i];
            if (id.offerId() != offerId) {
                offerId = id.offerId();
                allowed = _isOperator(_offers[offerId].provider);
            }
            if (!allowed) emit JobSkipped(id, SkipReason.NotOperator);
            else if (_start(id, attestors[i])) ++done;
        }
    }

    /// @inheritdoc IComputeMarket
    function endJobs(JobId[] calldata ids, uint64 endAt, uint64[] calldata expectUsed, string calldata reason)
        external
        returns (uint256 done)
    {
        require(ids.length == expectUsed.length, LengthMismatch(ids.length, expectUsed.length));
        _requireReason(reason);
        for (uint256 i = 0; i < ids.length; ++i) {
            JobId id = ids[i];
            JobState state = _jobs[id].state;
            if (!_isOperator(_offers[id.offerId()].provider)) {
                emit JobSkipped(id, SkipReason.NotOperator);
            } else if (state.duration() == 0) {
                emit JobSkipped(id, SkipReason.NotLive);
            } else if (state.started() == 0) {
                emit JobSkipped(id, SkipReason.NotStarted);
            } else if (state.used() < expectUsed[i]) {
                emit JobSkipped(id, SkipReason.UnclaimedUse);
            } else if (endAt == 0) {
                (address customer, uint256 refunded) = _close(id, state);
                emit JobEnded(id, customer, state.used(), refunded, reason);
                ++done;
            } else if (endAt <= block.timestamp) {
                emit JobSkipped(id, SkipReason.EndPassed);
            } else if (endAt >= state.end()) {
                emit JobSkipped(id, SkipReason.EndNotEarlier);
            } else {
                _announceEnd(id, state, endAt, reason);
                ++done;
            }
        }
    }

    // ------------------------------------------------------------------------------------------------------- anyone

    /// @inheritdoc IComputeMarket
    function claim(OfferId offerId, Voucher[] calldata vouchers) external returns (uint256 done) {
        StoredOffer storage posted = _offers[offerId];
        require(posted.provider != address(0), UnknownOffer(offerId));
        ClaimLog log = ClaimLogLibrary.reserve(vouchers.length);
        Batch memory batch = Batch({
            offerId: OfferId.unwrap(offerId),
            claimWindow: posted.claimWindow,
            check: VoucherCheckLibrary.prepare(_domainSeparatorV4()),
            next: log,
            gpuSeconds: 0,
            paid: 0
        });
        (uint256 place, uint256 end) = Vouchers.places(vouchers);
        for (; place < end; place = Vouchers.next(place)) {
            _settle(batch, Vouchers.read(place));
        }
        done = batch.next.lines(log);
        if (done == 0) return 0;

        uint256 charged = _charge(posted, batch.gpuSeconds, batch.paid);
        _credit(posted.provider, posted.token, batch.paid - charged);
        log.finish(done, offerId, posted.provider, batch.gpuSeconds, batch.paid, charged);
    }

    /// @inheritdoc IComputeMarket
    function refund(JobId[] calldata ids) external returns (uint256 done) {
        for (uint256 i = 0; i < ids.length; ++i) {
            JobId id = ids[i];
            JobState state = _jobs[id].state;
            if (state.duration() == 0) {
                emit JobSkipped(id, SkipReason.NotLive);
            } else if (block.timestamp < _refundableFrom(id, state)) {
                emit JobSkipped(id, SkipReason.TooEarly);
            } else {
                (address customer, uint256 refunded) = _close(id, state);
                emit JobRefunded(id, customer, refunded);
                ++done;
            }
        }
    }

    // -------------------------------------------------------------------------------------------------------- views

    /// @inheritdoc IComputeMarket
    function voucherDigest(JobId id, uint256 gpuSeconds, bytes32 evidenceRoot) external view returns (bytes32) {
        return _hashTypedDataV4(Hashes.usageVoucher(id, gpuSeconds, evidenceRoot));
    }

    // ------------------------------------------------------------------------------------------------------ private

    /// @dev Reverts where an offer doesn't take such an order.
    function _requireTaken(OfferId offerId, StoredOffer memory posted, uint256 gpus, uint256 duration, uint256 maxPrice)
        private
        view
    {
        require(posted.provider != address(0), UnknownOffer(offerId));
        require(block.timestamp <= posted.validUntil, OfferExpired(offerId, posted.validUntil));
        require(gpus != 0 && gpus <= posted.available, GpusUnavailable(gpus, posted.available));
        require(posted.price <= maxPrice, PriceAboveMax(posted.price, maxPrice));
        require(
            duration != 0 && duration >= posted.minDuration && duration <= posted.maxDuration,
            DurationOutOfRange(duration, posted.minDuration, posted.maxDuration)
        );
        _requireAbove(posted.provider, posted.token, posted.price);
    }

    /// @dev A reason is logged once for each job of a batch.
    function _requireReason(string calldata reason) private pure {
        require(bytes(reason).length <= MAX_REASON, TextTooLong(bytes(reason).length, MAX_REASON));
    }

    function _requireCustomer(JobId id, Order memory order) private view {
        require(order.customer == msg.sender, NotCustomer(id, msg.sender));
    }

    /// @dev Starts a job or rotates its attestor; logs why not where it can't.
    function _start(JobId id, address attestor) private returns (bool) {
        JobState state = _jobs[id].state;
        if (state.duration() == 0) {
            emit JobSkipped(id, SkipReason.NotLive);
        } else if (attestor == address(0)) {
            emit JobSkipped(id, SkipReason.ZeroAttestor);
        } else if (state.started() != 0) {
            if (block.timestamp < state.end()) {
                _jobs[id].state = state.withStart(attestor, state.started());
                emit AttestorRotated(id, attestor);
                return true;
            }
            emit JobSkipped(id, SkipReason.AlreadyEnded);
        } else if (block.timestamp > _orders[id].startDeadline) {
            emit JobSkipped(id, SkipReason.DeadlinePassed);
        } else {
            _jobs[id].state = state.withStart(attestor, block.timestamp);
            emit JobStarted(id, attestor, uint64(block.timestamp));
            return true;
        }
        return false;
    }

    /// @dev Pays one voucher: writes its job, its line of the log, and adds to the sums of the batch.
    function _settle(Batch memory batch, Voucher calldata voucher) private {
        JobId id = voucher.jobId;
        JobSlot storage slot = _jobs[id];
        JobState state = slot.state;
        // Nothing overflows: `used` is at most GPUs times seconds, 40 bits; payments have 120, and no calldata holds 2^100
        // vouchers.
        unchecked {
            uint256 started = state.started();
            uint256 end = started + state.duration();
            uint256 bound = id.gpus() * ((block.timestamp < end ? block.timestamp : end) - started);
            uint256 used = Vouchers.count(voucher);
            if (used > bound) used = bound;
            uint256 before = state.used();
            // A job that is not there or closed has no seconds, so its bound is 0; one that was not started ended in
            // 1970. Which of these it was is found out only where a voucher is skipped.
            if (!id.isOf(batch.offerId)) {
                _skip(batch, id, state, used);
            } else if (used <= before) {
                _skip(batch, id, state, used);
            } else if (block.timestamp > end + batch.claimWindow) {
                _skip(batch, id, state, used);
            } else if (batch.check.isSigned(voucher, state.attestor())) {
                slot.state = state.withUsed(used);
                batch.next = batch.next.write(id, used, voucher.evidenceRoot);
                batch.gpuSeconds += used - before;
                batch.paid += id.paid(used) - id.paid(before);
            } else {
                _skip(batch, id, state, used);
            }
        }
    }

    /// @dev Logs why a voucher was skipped: the first of these that is so.
    function _skip(Batch memory batch, JobId id, JobState state, uint256 used) private {
        SkipReason reason = SkipReason.BadSignature;
        if (!id.isOf(batch.offerId)) reason = SkipReason.WrongOffer;
        else if (state.duration() == 0) reason = SkipReason.NotLive;
        else if (state.started() == 0) reason = SkipReason.NotStarted;
        else if (block.timestamp > state.end() + batch.claimWindow) reason = SkipReason.ClaimWindowPassed;
        else if (used <= state.used()) reason = SkipReason.Stale;
        emit JobSkipped(id, reason);
    }
}
