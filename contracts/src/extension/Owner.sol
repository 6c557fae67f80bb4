// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Fees} from "../base/Fees.sol";
import {IMarketOwner} from "../interfaces/IMarketOwner.sol";

/// @title The market's fee and its sunset: all that the owner can set
abstract contract Owner is Fees, IMarketOwner {
    /// @inheritdoc IMarketOwner
    uint16 public constant MAX_FEE_BPS = FEE_LIMIT;
    /// @inheritdoc IMarketOwner
    uint32 public constant FEE_NOTICE = START_WINDOW_LIMIT + DURATION_LIMIT + CLAIM_WINDOW_LIMIT + 1;

    /// @inheritdoc IMarketOwner
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

    /// @inheritdoc IMarketOwner
    function announceSunset(uint64 last) external onlyOwner {
        uint256 earliest = block.timestamp + VALIDITY_LIMIT;
        require(_sunset == 0 || block.timestamp <= _sunset, SunsetPassed(_sunset));
        require(last == 0 || last >= earliest, SunsetTooSoon(last, earliest));
        require(last <= type(uint40).max, SunsetTooLate(last, type(uint40).max));
        _sunset = uint40(last);
        emit SunsetAnnounced(last);
    }

    /// @inheritdoc IMarketOwner
    function sweepFees(address sink, address token) external returns (uint256 amount) {
        address payout = _providers[sink].payout;
        address to = payout == address(0) ? sink : payout;
        amount = _send(_fees[sink], sink, token, to, type(uint256).max);
        emit FeesSwept(sink, token, to, amount);
    }

    /// @inheritdoc IMarketOwner
    function feesOf(address sink, address token) external view returns (uint256) {
        return _fees[sink][token];
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
}
