// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {BitMaps} from "@openzeppelin/contracts/utils/structs/BitMaps.sol";
import {IMarketOrders} from "../interfaces/IMarketOrders.sol";
import {IPermit2} from "../interfaces/IPermit2.sol";
import {Hashes} from "../libraries/Hashes.sol";
import {Price} from "../libraries/Price.sol";
import {JobStatus} from "../types/Job.sol";
import {JobId, JobIdLibrary} from "../types/JobId.sol";
import {JobState, JobStateLibrary} from "../types/JobState.sol";
import {JobRef, Order} from "../types/Order.sol";
import {Jobs} from "./Jobs.sol";

/// @title Orders: who may place one, by what it is paid, and what a customer can do afterwards
abstract contract Orders is Jobs {
    using BitMaps for BitMaps.BitMap;
    using Price for JobId;

    /// @inheritdoc IMarketOrders
    uint32 public constant END_NOTICE = 60;

    /// @dev Salts of signed orders that were placed or cancelled.
    mapping(address customer => BitMaps.BitMap) private _salts;

    /// @inheritdoc IMarketOrders
    function openJob(Order calldata order, bytes calldata spec) external returns (JobId id) {
        (, bytes32 orderHash) = _hashesOf(order);
        address token;
        uint256 price;
        (id, token, price) = _open(order, orderHash, 0, spec);
        if (msg.sender != order.customer) emit JobPaidBy(id, msg.sender);
        _take(token, id.deposit(order.duration));
    }

    /// @inheritdoc IMarketOrders
    function openJobSigned(Order calldata order, bytes calldata spec, bytes calldata signature)
        external
        returns (JobId id)
    {
        (bytes32 digest, bytes32 orderHash) = _hashesOf(order);
        require(
            SignatureChecker.isValidSignatureNowCalldata(order.customer, digest, signature),
            BadOrderSignature(order.customer, digest)
        );
        _useSalt(order);
        address token;
        (id, token,) = _open(order, orderHash, 0, spec);
        _takeCredit(order.customer, token, id.deposit(order.duration));
    }

    /// @inheritdoc IMarketOrders
    function openJobByPermit2(Order calldata order, bytes calldata spec, uint256 nonce, bytes calldata signature)
        external
        returns (JobId id)
    {
        (, bytes32 orderHash) = _hashesOf(order);
        _useSalt(order);
        address token;
        (id, token,) = _open(order, orderHash, 0, spec);
        uint256 most = Price.deposit(order.maxPrice, order.gpus, order.duration);
        _takeByPermit2(
            order.customer,
            IPermit2.PermitTransferFrom(IPermit2.TokenPermissions(token, most), nonce, order.deadline),
            id.deposit(order.duration),
            Hashes.orderStruct(order),
            signature
        );
    }

    /// @inheritdoc IMarketOrders
    function openJobAs(uint32 delegation, Order calldata order, bytes calldata spec) external returns (JobId id) {
        address principal = _principalOf(delegation);
        require(order.customer == principal, NotPrincipal(delegation, order.customer));
        (, bytes32 orderHash) = _hashesOf(order);
        address token;
        (id, token,) = _open(order, orderHash, delegation, spec);
        _spend(delegation, token, id.deposit(order.duration));
    }

    /// @inheritdoc IMarketOrders
    function cancelOrders(uint256[] calldata salts) external {
        for (uint256 i = 0; i < salts.length; ++i) {
            _salts[msg.sender].set(salts[i]);
            emit OrderCancelled(msg.sender, salts[i]);
        }
    }

    /// @inheritdoc IMarketOrders
    function isSaltUsed(address customer, uint256 salt) external view returns (bool) {
        return _salts[customer].get(salt);
    }

    /// @inheritdoc IMarketOrders
    function topUp(JobId id, uint32 extra) external {
        (address token, uint256 price) = _prolong(id, extra);
        _take(token, price);
    }

    /// @inheritdoc IMarketOrders
    function topUpAs(JobId id, uint32 extra) external {
        (address token, uint256 price) = _prolong(id, extra);
        _spend(id.delegation(), token, price);
    }

    /// @inheritdoc IMarketOrders
    function endJob(JobRef calldata ref) external returns (uint64) {
        JobId id = ref.id;
        address customer = _customerOf(id, ref.customer, ref.orderHash);
        require(
            customer != address(0) && (msg.sender == customer || _isDelegate(id.delegation())),
            NotCustomer(id, msg.sender)
        );
        JobState state = _jobs[id].state;
        JobStatus status = _status(state);
        require(status == JobStatus.Running, WrongStatus(id, status));

        StoredOffer storage stored = _offers[id.offerId()];
        uint256 end = Math.max(block.timestamp + END_NOTICE, state.second() + stored.posted.minDuration);
        require(end < state.end(), EndNotEarlier(id, end, state.end()));
        if (!state.ending()) ++stored.endedByCustomer;
        _announceEnd(id, state, customer, end, "");
        return uint64(end);
    }

    /// @dev Stores and logs an order; the caller has seen to it that the customer wants it, and takes the deposit.
    function _open(Order calldata order, bytes32 orderHash, uint32 delegation, bytes calldata spec)
        private
        returns (JobId id, address token, uint256 price)
    {
        require(order.customer != address(0), ZeroAccount());
        require(block.timestamp <= order.deadline, OrderExpired(order.deadline));
        StoredOffer storage stored = _offers[order.offerId];
        Posted memory posted = stored.posted;
        _requireTaken(order, stored, posted);

        (token, price) = (posted.token, posted.price);
        id = JobIdLibrary.pack(order.offerId, price, order.gpus, order.customer, orderHash, delegation);
        JobSlot storage slot = _jobs[id];
        require(!slot.state.exists(), JobExists(id));
        slot.state = JobStateLibrary.open(order.duration, block.timestamp + posted.startWindow);
        emit JobOpened(id, order.offerId, order.customer, order.duration, orderHash, order.specHash);
        if (spec.length != 0) _post(id, order.specHash, spec);
    }

    /// @dev Logs the text of a spec.
    function _post(JobId id, bytes32 specHash, bytes calldata spec) private {
        require(spec.length <= MAX_TEXT, TextTooLong(spec.length, MAX_TEXT));
        require(keccak256(spec) == specHash, SpecMismatch(specHash, keccak256(spec)));
        emit SpecPosted(id, spec);
    }

    /// @dev Reverts where an offer doesn't take such an order.
    function _requireTaken(Order calldata order, StoredOffer storage stored, Posted memory posted) private view {
        require(posted.provider != address(0), UnknownOffer(order.offerId));
        require(block.timestamp <= posted.validUntil, OfferExpired(order.offerId, posted.validUntil));
        require(order.gpus != 0 && order.gpus <= posted.available, GpusUnavailable(order.gpus, posted.available));
        require(posted.price <= order.maxPrice, PriceAboveMax(posted.price, order.maxPrice));
        require(
            order.duration != 0 && order.duration >= posted.minDuration && order.duration <= posted.maxDuration,
            DurationOutOfRange(order.duration, posted.minDuration, posted.maxDuration)
        );
        _requireAbove(stored, posted, posted.price);
    }

    /// @dev A signature places one order, at whatever price: it would name another job at another one.
    function _useSalt(Order calldata order) private {
        BitMaps.BitMap storage used = _salts[order.customer];
        require(!used.get(order.salt), SaltUsed(order.customer, order.salt));
        used.set(order.salt);
    }

    /// @dev Prolongs a job; the caller takes what that costs.
    function _prolong(JobId id, uint256 extra) private returns (address token, uint256 price) {
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
        emit JobToppedUp(id, id.offerId(), msg.sender, uint32(duration), held);
        return (posted.token, held - id.deposit(state.duration()));
    }
}
