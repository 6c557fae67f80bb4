// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Ownable, Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {Multicall} from "@openzeppelin/contracts/utils/Multicall.sol";
import {Ledger} from "./base/Ledger.sol";
import {IComputeMarket} from "./interfaces/IComputeMarket.sol";
import {ClaimLog, ClaimLogLibrary} from "./libraries/ClaimLog.sol";
import {Hashes} from "./libraries/Hashes.sol";
import {Price} from "./libraries/Price.sol";
import {Job, JobStatus, SkipReason} from "./types/Job.sol";
import {JobId, JobIdLibrary} from "./types/JobId.sol";
import {JobState, JobStateLibrary} from "./types/JobState.sol";
import {OfferId} from "./types/OfferId.sol";
import {Voucher} from "./types/Voucher.sol";

/// @title Market for GPU time: orders, starts, claims and ends
/// @notice What each function means is said in `IComputeMarket`.
contract ComputeMarket is Ledger, EIP712, Ownable2Step, Multicall {
    using Price for JobId;
    using Price for uint256;

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

    struct Fee {
        uint16 bps;
        address sink;
    }

    /// @dev What a claim adds up over its vouchers.
    struct Tally {
        uint256 gpuSeconds;
        uint256 paid;
    }

    /// @inheritdoc IComputeMarket
    uint16 public constant MAX_FEE_BPS = 1000;
    /// @inheritdoc IComputeMarket
    uint32 public constant END_NOTICE = 60;

    mapping(JobId => JobSlot) private _jobs;
    mapping(JobId => Order) private _orders;
    Fee private _fee;

    /// @param owner Who sets the fee.
    /// @param bps First fee, in hundredths of a percent.
    /// @param sink First receiver of the fee.
    constructor(address owner, uint16 bps, address sink) EIP712("Hawser ComputeMarket", "1") Ownable(owner) {
        _setFee(bps, sink);
    }

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
        require(endAt == 0 || endAt > block.timestamp, EndInPast(endAt, block.timestamp));
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
        address payee = posted.provider;
        require(payee != address(0), UnknownOffer(offerId));
        uint256 claimWindow = posted.claimWindow;
        bytes32 domain = _domainSeparatorV4();

        Tally memory tally;
        ClaimLog log = ClaimLogLibrary.reserve(vouchers.length);
        for (uint256 i = 0; i < vouchers.length; ++i) {
            Voucher calldata voucher = vouchers[i];
            JobId id = voucher.jobId;
            if (id.offerId() != offerId) {
                emit JobSkipped(id, SkipReason.WrongOffer);
                continue;
            }
            uint256 used = _settle(id, voucher, claimWindow, domain, tally);
            if (used == 0) continue;
            log.write(done, id, used, voucher.evidenceRoot);
            unchecked {
                ++done;
            }
        }
        if (done == 0) return 0;

        uint256 paid = tally.paid;
        uint256 charged = _charge(posted, tally.gpuSeconds, paid);
        _credit(payee, posted.token, paid - charged);
        log.finish(done, offerId, payee, tally.gpuSeconds, paid, charged);
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

    // -------------------------------------------------------------------------------------------------------- owner

    /// @inheritdoc IComputeMarket
    function setFee(uint16 bps, address sink) external onlyOwner {
        _setFee(bps, sink);
    }

    // -------------------------------------------------------------------------------------------------------- views

    /// @inheritdoc IComputeMarket
    function fee() external view returns (uint16 bps, address sink) {
        return (_fee.bps, _fee.sink);
    }

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

    /// @dev Pays one voucher: writes the job and adds to the tally. Returns the GPU-seconds claimed so far, or 0 where
    /// the voucher was skipped.
    function _settle(JobId id, Voucher calldata voucher, uint256 claimWindow, bytes32 domain, Tally memory tally)
        private
        returns (uint256 used)
    {
        JobSlot storage slot = _jobs[id];
        JobState state = slot.state;
        unchecked {
            uint256 started = state.started();
            uint256 end = started + state.duration();
            uint256 bound = id.gpus() * ((block.timestamp < end ? block.timestamp : end) - started);
            used = voucher.gpuSeconds;
            if (used > bound) used = bound;
            uint256 before = state.used();
            // A job that is not there or closed has no seconds, so its bound is 0; one that was not started ended in
            // 1970. Which of these it was is found out only where a voucher is skipped.
            if (used <= before) return _skip(id, state, claimWindow, used);
            if (block.timestamp > end + claimWindow) return _skip(id, state, claimWindow, used);
            if (!_isSigned(voucher, domain, state.attestor())) return _skip(id, state, claimWindow, used);
            slot.state = state.withUsed(used);
            tally.gpuSeconds += used - before;
            tally.paid += id.paid(used) - id.paid(before);
        }
    }

    /// @dev Logs why `_settle` skips a voucher: the first of its conditions that failed.
    function _skip(JobId id, JobState state, uint256 claimWindow, uint256 used) private returns (uint256) {
        SkipReason reason = SkipReason.BadSignature;
        if (state.duration() == 0) reason = SkipReason.NotLive;
        else if (state.started() == 0) reason = SkipReason.NotStarted;
        else if (block.timestamp > state.end() + claimWindow) reason = SkipReason.ClaimWindowPassed;
        else if (used <= state.used()) reason = SkipReason.Stale;
        emit JobSkipped(id, reason);
        return 0;
    }

    /// @dev Counts what a claim paid, credits the fee on it, and returns the fee. The fee is the difference of the fee
    /// on all that the offer ever paid, so that it doesn't depend on how claims are batched.
    function _charge(StoredOffer storage posted, uint256 gpuSeconds, uint256 paid) private returns (uint256 charged) {
        Fee memory current = _fee;
        (uint256 before, uint256 settled) = _countSettled(posted, gpuSeconds, paid);
        charged = settled.fee(current.bps) - before.fee(current.bps);
        _credit(current.sink, posted.token, charged);
    }

    function _isSigned(Voucher calldata voucher, bytes32 domain, address attestor) private pure returns (bool) {
        (address signer,,) = ECDSA.tryRecover(Hashes.voucherDigest(domain, voucher), voucher.r, voucher.vs);
        // Nobody is who signed where the signature is none: a job that wants nobody's signature takes none at all.
        return signer == attestor && signer != address(0);
    }

    /// @dev Moves the end of a running job forward and credits the price of the time after it.
    function _announceEnd(JobId id, JobState state, uint256 end, string memory reason) private {
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
    function _close(JobId id, JobState state) private returns (address customer, uint256 refunded) {
        _jobs[id].state = state.withDuration(0);
        customer = _orders[id].customer;
        refunded = id.deposit(state.duration()) - id.paid(state.used());
        _credit(customer, _offers[id.offerId()].token, refunded);
    }

    function _setFee(uint16 bps, address sink) private {
        require(bps <= MAX_FEE_BPS, FeeTooHigh(bps, MAX_FEE_BPS));
        require(bps == 0 || sink != address(0), ZeroFeeSink());
        _fee = Fee(bps, sink);
        emit FeeSet(bps, sink);
    }

    function _status(JobState state, address customer) private view returns (JobStatus) {
        if (customer == address(0)) return JobStatus.None;
        if (state.duration() == 0) return JobStatus.Closed;
        if (state.started() == 0) return JobStatus.Open;
        return block.timestamp < state.end() ? JobStatus.Running : JobStatus.Ended;
    }

    /// @dev First second at which a live job can be closed by anyone: the one after its start deadline or its claim
    /// window, so that no second belongs to both sides and none to neither.
    function _refundableFrom(JobId id, JobState state) private view returns (uint256) {
        if (state.started() == 0) return uint256(_orders[id].startDeadline) + 1;
        return state.end() + _offers[id.offerId()].claimWindow + 1;
    }
}
