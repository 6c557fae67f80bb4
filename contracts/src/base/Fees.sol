// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {IMarketOwner} from "../interfaces/IMarketOwner.sol";
import {Price} from "../libraries/Price.sol";
import {Ledger} from "./Ledger.sol";

/// @title The market's fee and its sunset: all that the owner can set
/// @notice A provider takes an order knowing what of it will be paid to the fee sink. So a raise is announced for longer
/// than any order that was placed before it can still be claimed, and no job has to remember its fee.
abstract contract Fees is Ledger, Ownable2Step {
    using Price for uint256;

    /// @dev One slot, the only one that a claim reads for the fee.
    struct Fee {
        /// Holds before `from`.
        uint16 earlierBps;
        /// Holds from `from` on.
        uint16 bps;
        uint40 from;
        address sink;
    }

    /// @inheritdoc IMarketOwner
    uint16 public constant MAX_FEE_BPS = 1000;
    /// @inheritdoc IMarketOwner
    uint32 public constant FEE_NOTICE = MAX_START_WINDOW + MAX_DURATION + MAX_CLAIM_WINDOW + 1;

    Fee private _fee;
    /// @dev Who is or was a sink: what it is owed may be sent to it by anybody.
    mapping(address account => bool) private _sinks;

    /// @dev Nothing was ordered yet, so the first fee holds at once.
    constructor(uint16 bps, address sink) {
        _requireFee(bps, sink);
        _setFee(Fee(bps, bps, uint40(block.timestamp), sink));
        emit FeeSet(bps, sink);
    }

    /// @inheritdoc IMarketOwner
    function setFee(uint16 bps, address sink) external onlyOwner {
        _requireFee(bps, sink);
        Fee memory last = _fee;
        uint16 current = _bpsNow(last);
        uint256 from = block.timestamp;
        // A raise that was announced keeps its date where it stays as it is, or becomes smaller.
        if (bps > current) from = bps <= last.bps ? last.from : block.timestamp + FEE_NOTICE;
        _setFee(Fee(current, bps, uint40(from), sink));

        if (bps > current) {
            emit FeeSet(current, sink);
            emit FeeRaiseAnnounced(bps, uint64(from));
        } else {
            emit FeeSet(bps, sink);
        }
    }

    /// @inheritdoc IMarketOwner
    function announceSunset(uint64 last) external onlyOwner {
        uint256 earliest = block.timestamp + MAX_VALIDITY;
        require(_sunset == 0 || block.timestamp <= _sunset, SunsetPassed(_sunset));
        require(last == 0 || last >= earliest, SunsetTooSoon(last, earliest));
        require(last <= type(uint40).max, SunsetTooLate(last, type(uint40).max));
        _sunset = uint40(last);
        emit SunsetAnnounced(last);
    }

    /// @inheritdoc IMarketOwner
    function sweepFees(address sink, address token) external returns (uint256) {
        require(_sinks[sink], NotFeeSink(sink));
        address payout = provider(sink).payout;
        return _send(sink, token, payout == address(0) ? sink : payout, type(uint256).max);
    }

    /// @inheritdoc IMarketOwner
    function fee() external view returns (uint16 bps, address sink) {
        return (_bpsNow(_fee), _fee.sink);
    }

    /// @inheritdoc IMarketOwner
    function announcedFee() external view returns (uint16 bps, uint64 from) {
        return (_fee.bps, _fee.from);
    }

    /// @inheritdoc IMarketOwner
    function sunset() external view returns (uint64) {
        return _sunset;
    }

    /// @dev Counts what a claim paid and which jobs it closed, credits the fee on it, and returns the fee. The fee is the
    /// difference of the fee on all that the offer ever paid, so that it doesn't depend on how claims are batched.
    /// The amount stops at its limit rather than stopping claims: 2^20 jobs at the highest price for the longest time, which only
    /// a worthless token can have.
    function _charge(
        StoredOffer storage stored,
        address token,
        uint256 gpuSeconds,
        uint256 paid,
        uint256 completed
    ) internal returns (uint256 charged) {
        Fee memory current = _fee;
        uint256 bps = _bpsNow(current);
        uint256 before = stored.settledAmount;
        uint256 settled = before + paid;
        if (settled > type(uint128).max) settled = type(uint128).max;
        stored.settledAmount = uint128(settled);
        stored.settledGpuSeconds += uint56(gpuSeconds);
        stored.completed += uint40(completed);
        charged = settled.fee(bps) - before.fee(bps);
        _credit(current.sink, token, charged);
    }

    function _bpsNow(Fee memory set) private view returns (uint16) {
        return block.timestamp < set.from ? set.earlierBps : set.bps;
    }

    function _setFee(Fee memory set) private {
        _fee = set;
        _sinks[set.sink] = true;
    }

    /// @dev What the market owes itself nobody could withdraw, and a sweep would move nothing.
    function _requireFee(uint16 bps, address sink) private view {
        require(bps <= MAX_FEE_BPS, FeeTooHigh(bps, MAX_FEE_BPS));
        require(sink != address(this), SinkIsTheMarket());
        require(bps == 0 || sink != address(0), ZeroFeeSink());
    }
}
