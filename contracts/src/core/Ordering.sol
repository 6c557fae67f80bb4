// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {IMarketOrders} from "../interfaces/IMarketOrders.sol";
import {Price} from "../libraries/Price.sol";
import {JobStatus} from "../types/Job.sol";
import {JobId} from "../types/JobId.sol";
import {JobState} from "../types/JobState.sol";
import {JobRef, Order} from "../types/Order.sol";
import {Orders} from "../base/Orders.sol";

/// @title What customers do themselves
abstract contract Ordering is Orders, IMarketOrders {
    /// @inheritdoc IMarketOrders
    uint32 public constant END_NOTICE = 60;

    /// @inheritdoc IMarketOrders
    function openJob(Order calldata order, bytes calldata spec) external returns (JobId id) {
        address token;
        uint256 deposit;
        (id, token, deposit) = _open(order, _digestOf(order), 0, spec);
        if (msg.sender != order.customer) emit JobPaidBy(id, msg.sender);
        _take(token, deposit);
    }

    /// @inheritdoc IMarketOrders
    function topUp(JobId id, uint32 extra) external {
        (address token, uint256 price) = _prolong(id, extra, msg.sender);
        _take(token, price);
    }

    /// @inheritdoc IMarketOrders
    function endJob(JobRef calldata ref) external returns (uint64) {
        JobId id = ref.id;
        JobState state = _jobs[id].state;
        address customer = _customerOf(id, state, ref.customer, ref.orderHash);
        require(
            customer != address(0) && (msg.sender == customer || _isDelegate(id.delegation())),
            NotCustomer(id, msg.sender)
        );
        JobStatus status = _status(state);
        require(status == JobStatus.Running, WrongStatus(id, status));

        StoredOffer storage stored = _offers[id.offerId()];
        uint256 end = Math.max(block.timestamp + END_NOTICE, state.second() + stored.posted.minDuration);
        require(end < state.end(), EndNotEarlier(id, end, state.end()));
        if (!state.ending()) ++stored.endedByCustomer;
        _announceEnd(id, state, customer, end, "");
        return uint64(end);
    }
}
