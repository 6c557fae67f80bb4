// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {Price} from "../libraries/Price.sol";
import {TokenFlow} from "./TokenFlow.sol";

/// @title The market's fee
/// @notice A provider takes an order knowing what of it will be paid to the fee sink. So a raise is announced for longer
/// than any order that was placed before it can still be claimed, and no job has to remember its fee.
abstract contract Fees is TokenFlow, Ownable2Step {
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

    /// @dev Highest fee, in hundredths of a percent.
    uint16 internal constant FEE_LIMIT = 1000;

    Fee internal _fee;
    /// @dev What sinks are owed, apart from credits: anybody may have it sent, and nothing else.
    mapping(address sink => mapping(address token => uint256)) internal _fees;

    /// @dev Counts what a claim paid and which jobs it closed, owes the sink the fee on it, and returns the fee. The fee is
    /// the difference of the fee on all that the offer ever paid, so that it doesn't depend on how claims are batched. The
    /// amount stops at its limit rather than stopping claims: 2^20 jobs at the highest price for the longest time, which
    /// only a worthless token can have.
    function _charge(StoredOffer storage stored, address token, uint256 gpuSeconds, uint256 paid, uint256 completed)
        internal
        returns (uint256 charged)
    {
        Fee memory current = _fee;
        uint256 bps = _bpsNow(current);
        uint256 before = stored.settledAmount;
        uint256 settled = before + paid;
        if (settled > type(uint128).max) settled = type(uint128).max;
        stored.settledAmount = uint128(settled);
        stored.settledGpuSeconds += uint56(gpuSeconds);
        stored.completed += uint40(completed);
        charged = settled.fee(bps) - before.fee(bps);
        if (charged != 0) _fees[current.sink][token] += charged;
    }

    /// @dev The fee that holds now.
    function _bpsNow(Fee memory set) internal view returns (uint16) {
        return block.timestamp < set.from ? set.earlierBps : set.bps;
    }

    /// @dev Reverts where such a fee can't be.
    function _requireFee(uint16 bps, address sink) internal view {
        require(bps <= FEE_LIMIT, FeeTooHigh(bps, FEE_LIMIT));
        _requireOther(sink);
        require(bps == 0 || sink != address(0), ZeroFeeSink());
    }
}
