// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Fees} from "../base/Fees.sol";
import {Jobs} from "../base/Jobs.sol";
import {IMarketClaims} from "../interfaces/IMarketClaims.sol";
import {ClaimLog, ClaimLogLibrary} from "../libraries/ClaimLog.sol";
import {Price} from "../libraries/Price.sol";
import {Verification} from "../libraries/Verification.sol";
import {VoucherCheck, VoucherCheckLibrary} from "../libraries/VoucherCheck.sol";
import {Vouchers} from "../libraries/Vouchers.sol";
import {SkipReason} from "../types/Job.sol";
import {JobId} from "../types/JobId.sol";
import {JobState} from "../types/JobState.sol";
import {OfferId} from "../types/OfferId.sol";
import {Use} from "../types/Use.sol";
import {LastVoucher, Voucher} from "../types/Voucher.sol";

/// @title Claims: what is paid of a job, while it runs and last
abstract contract Claims is Jobs, Fees, IMarketClaims {
    using Price for JobId;

    /// @dev What a claim needs for each of its vouchers, and what it adds up over them.
    struct Batch {
        OfferId offerId;
        uint256 claimWindow;
        VoucherCheck check;
        address verifier;
        ClaimLog next;
        uint256 gpuSeconds;
        uint256 paid;
        // Place of the first voucher in calldata.
        uint256 first;
        // Of last vouchers: what goes back to the customer of the jobs right before, and how many came to which end.
        address token;
        address customer;
        uint256 owed;
        uint256 closed;
        uint256 completed;
        uint256 early;
    }

    /// @inheritdoc IMarketClaims
    uint256 public constant VERIFIER_GAS = Verification.GAS;

    /// @inheritdoc IMarketClaims
    function claim(OfferId offerId, Voucher[] calldata vouchers, bytes[] calldata proofs)
        external
        returns (uint256 done)
    {
        StoredOffer storage stored = _offers[offerId];
        (Batch memory batch, ClaimLog log) = _begin(offerId, stored, vouchers.length, proofs.length);
        (uint256 place, uint256 end) = Vouchers.places(vouchers);
        batch.first = place;
        for (; place < end; place = Vouchers.next(place)) {
            _claim(batch, place, proofs);
        }
        return _finish(batch, log, stored);
    }

    /// @inheritdoc IMarketClaims
    function settle(OfferId offerId, LastVoucher[] calldata vouchers, bytes[] calldata proofs)
        external
        returns (uint256 done)
    {
        StoredOffer storage stored = _offers[offerId];
        (Batch memory batch, ClaimLog log) = _begin(offerId, stored, vouchers.length, proofs.length);
        _requireOperator(stored.posted.provider);
        batch.token = stored.posted.token;
        (uint256 place, uint256 end) = Vouchers.places(vouchers);
        batch.first = place;
        for (; place < end; place = Vouchers.nextLast(place)) {
            _settle(batch, place, proofs);
        }
        _credit(batch.customer, batch.token, batch.owed);
        if (batch.early != 0) stored.endedByProvider += uint48(batch.early);
        _finish(batch, log, stored);
        return batch.closed;
    }

    function _begin(OfferId offerId, StoredOffer storage stored, uint256 count, uint256 proofs)
        private
        view
        returns (Batch memory batch, ClaimLog log)
    {
        require(stored.posted.provider != address(0), UnknownOffer(offerId));
        require(proofs == 0 || proofs == count, LengthMismatch(count, proofs));
        log = ClaimLogLibrary.reserve(count);
        batch.offerId = offerId;
        batch.claimWindow = stored.claimWindow;
        batch.check = VoucherCheckLibrary.prepare(_domainSeparatorV4());
        batch.next = log;
        if (stored.verified) batch.verifier = stored.verifier;
    }

    /// @dev Pays the provider and the sink what the batch adds up to, and logs it.
    function _finish(Batch memory batch, ClaimLog log, StoredOffer storage stored) private returns (uint256 lines) {
        lines = batch.next.lines(log);
        if (lines == 0 && batch.completed == 0) return 0;
        (address payee, address token) = (stored.posted.provider, stored.posted.token);
        uint256 charged = _charge(stored, token, batch.gpuSeconds, batch.paid, batch.completed);
        _credit(payee, token, batch.paid - charged);
        if (lines != 0) log.finish(lines, batch.offerId, payee, batch.gpuSeconds, batch.paid, charged);
    }

    /// @dev Pays one voucher: writes its job, its line of the log, and adds to the sums of the batch.
    function _claim(Batch memory batch, uint256 place, bytes[] calldata proofs) private {
        Use use = Vouchers.read(place).use;
        JobId id = use.job(batch.offerId);
        JobSlot storage slot = _jobs[id];
        JobState state = slot.state;
        // Nothing overflows: `used` is at most GPUs times seconds, 39 bits; payments have 119, and no calldata holds 2^100
        // vouchers.
        unchecked {
            uint256 second = state.second();
            uint256 end = second + state.duration();
            // As in `_cut`.
            uint256 used = id.gpus() * ((block.timestamp < end ? block.timestamp : end) - second);
            if (use.gpuSeconds() < used) used = use.gpuSeconds();
            uint256 before = state.used();
            if (used <= before) {
                _skip(batch, id, state, used);
            } else if (block.timestamp > end + batch.claimWindow) {
                _skip(batch, id, state, used);
            } else if (!batch.check.isSigned(id, use.gpuSeconds(), place, state)) {
                _skip(batch, id, state, used);
            } else if (batch.verifier != address(0) && _isRefused(batch, id, place, Vouchers.SIZE, proofs)) {
                emit JobSkipped(id, SkipReason.Unverified);
            } else {
                slot.state = state.withUsed(used);
                batch.next = batch.next.write(id, used, Vouchers.read(place).evidenceRoot);
                batch.gpuSeconds += used - before;
                batch.paid += id.paid(used) - id.paid(before);
            }
        }
    }

    /// @dev Pays one last voucher, where it adds anything to what was claimed, and closes its job.
    function _settle(Batch memory batch, uint256 place, bytes[] calldata proofs) private {
        LastVoucher calldata voucher = Vouchers.readLast(place);
        JobId id = voucher.use.job(batch.offerId);
        JobSlot storage slot = _jobs[id];
        JobState state = slot.state;
        bool live = state.duration() != 0 && state.isStarted();
        bool running = block.timestamp < state.end();
        (uint256 count, uint256 used) = (voucher.use.gpuSeconds(), state.used());
        // What was claimed already needs no voucher: anybody may have brought this one before.
        if (live && count > used) {
            used = _cut(id, state, count);
            if (running && used < count) {
                emit JobSkipped(id, SkipReason.UnclaimedUse);
                return;
            }
            live = used == state.used() || (!_isLate(batch, state) && batch.check.isSigned(id, count, place, state));
            if (live && used != state.used() && _isRefused(batch, id, place, Vouchers.SIZE_OF_LAST, proofs)) {
                emit JobSkipped(id, SkipReason.Unverified);
                return;
            }
        }
        if (!live) {
            _skip(batch, id, state, count);
            return;
        }
        address customer = _customerOf(id, state, voucher.customer, voucher.orderHash);
        if (customer == address(0)) {
            emit JobSkipped(id, SkipReason.WrongOrder);
            return;
        }
        slot.state = state.withUsed(used).withDuration(0);
        if (used != state.used()) _add(batch, id, state, used, voucher.evidenceRoot);
        uint256 refunded = id.deposit(state.duration()) - id.paid(used);
        emit JobSettled(id, customer, refunded);
        unchecked {
            // One of which an end was announced was counted then.
            if (!state.ending()) running ? ++batch.early : ++batch.completed;
            ++batch.closed;
        }
        _owe(batch, customer, refunded);
    }

    /// @dev A count, cut to what can have been used by now. Of a job that was not started it is any count, and nobody signs
    /// for its attestor, zero; of one that is not there or closed it is no more than was claimed, or the same is so.
    function _cut(JobId id, JobState state, uint256 count) private view returns (uint256) {
        unchecked {
            uint256 end = state.end();
            uint256 most = id.gpus() * ((block.timestamp < end ? block.timestamp : end) - state.second());
            return count < most ? count : most;
        }
    }

    function _isLate(Batch memory batch, JobState state) private view returns (bool) {
        unchecked {
            return block.timestamp > state.end() + batch.claimWindow;
        }
    }

    /// @dev Whether the offer has a verifier that doesn't accept a voucher.
    function _isRefused(Batch memory batch, JobId id, uint256 place, uint256 size, bytes[] calldata proofs)
        private
        view
        returns (bool)
    {
        if (batch.verifier == address(0)) return false;
        Voucher calldata voucher = Vouchers.read(place);
        bytes calldata proof = proofs.length == 0 ? msg.data[:0] : proofs[(place - batch.first) / size];
        return !Verification.accepts(batch.verifier, id, voucher.use.gpuSeconds(), voucher.evidenceRoot, proof);
    }

    /// @dev Adds a paid voucher to the log and the sums of a batch. Nothing overflows: `used` is at most GPUs times seconds,
    /// 39 bits; payments have 119, and no calldata holds 2^100 vouchers.
    function _add(Batch memory batch, JobId id, JobState state, uint256 used, bytes32 evidenceRoot) private pure {
        unchecked {
            batch.next = batch.next.write(id, used, evidenceRoot);
            batch.gpuSeconds += used - state.used();
            batch.paid += id.paid(used) - id.paid(state.used());
        }
    }

    /// @dev Owes a customer what a job left. Jobs of one customer side by side are one credit.
    function _owe(Batch memory batch, address customer, uint256 amount) private {
        if (customer == batch.customer) {
            batch.owed += amount;
        } else {
            _credit(batch.customer, batch.token, batch.owed);
            (batch.customer, batch.owed) = (customer, amount);
        }
    }

    /// @dev Logs why a voucher was skipped: the first of these that is so.
    function _skip(Batch memory batch, JobId id, JobState state, uint256 used) private {
        SkipReason reason = SkipReason.BadSignature;
        if (state.duration() == 0) reason = SkipReason.NotLive;
        else if (!state.isStarted()) reason = SkipReason.NotStarted;
        else if (_isLate(batch, state)) reason = SkipReason.ClaimWindowPassed;
        else if (used <= state.used()) reason = SkipReason.Stale;
        emit JobSkipped(id, reason);
    }
}
