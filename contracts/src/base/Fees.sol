// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {IComputeMarket} from "../interfaces/IComputeMarket.sol";
import {Price} from "../libraries/Price.sol";
import {Ledger} from "./Ledger.sol";

/// @title The market's fee: all that the owner can set
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

    /// @inheritdoc IComputeMarket
    uint16 public constant MAX_FEE_BPS = 1000;
    /// @inheritdoc IComputeMarket
    uint32 public constant FEE_NOTICE = MAX_START_WINDOW + MAX_DURATION + MAX_CLAIM_WINDOW + 1;

    Fee private _fee;

    /// @dev Nothing was ordered yet, so the first fee holds at once.
    constructor(uint16 bps, address sink) {
        _requireFee(bps, sink);
        _fee = Fee(bps, bps, uint40(block.timestamp), sink);
        emit FeeSet(bps, sink);
    }

    /// @inheritdoc IComputeMarket
    function setFee(uint16 bps, address sink) external onlyOwner {
        _requireFee(bps, sink);
        Fee memory last = _fee;
        uint16 current = _bpsNow(last);
        uint256 from = block.timestamp;
        // A raise that was announced keeps its date where it stays as it is, or becomes smaller.
        if (bps > current) from = bps <= last.bps ? last.from : block.timestamp + FEE_NOTICE;
        _fee = Fee(current, bps, uint40(from), sink);

        if (bps > current) {
            emit FeeSet(current, sink);
            emit FeeRaiseAnnounced(bps, uint64(from));
        } else {
            emit FeeSet(bps, sink);
        }
    }

    /// @inheritdoc IComputeMarket
    function fee() external view returns (uint16 bps, address sink) {
        return (_bpsNow(_fee), _fee.sink);
    }

    /// @inheritdoc IComputeMarket
    function announcedFee() external view returns (uint16 bps, uint64 from) {
        return (_fee.bps, _fee.from);
    }

    /// @dev Counts what a claim paid, credits the fee on it, and returns the fee. The fee is the difference of the fee
    /// on all that the offer ever paid, so that it doesn't depend on how claims are batched.
    function _charge(StoredOffer storage posted, uint256 gpuSeconds, uint256 paid) internal returns (uint256 charged) {
        Fee memory current = _fee;
        uint256 bps = _bpsNow(current);
        (uint256 before, uint256 settled) = _countSettled(posted, gpuSeconds, paid);
        charged = settled.fee(bps) - before.fee(bps);
        _credit(current.sink, posted.token, charged);
    }

    function _bpsNow(Fee memory set) private view returns (uint16) {
        return block.timestamp < set.from ? set.earlierBps : set.bps;
    }

    function _requireFee(uint16 bps, address sink) private pure {
        require(bps <= MAX_FEE_BPS, FeeTooHigh(bps, MAX_FEE_BPS));
        require(bps == 0 || sink != address(0), ZeroFeeSink());
    }
}
