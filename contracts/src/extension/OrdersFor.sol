// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {BitMaps} from "@openzeppelin/contracts/utils/structs/BitMaps.sol";
import {Orders} from "../base/Orders.sol";
import {IMarketOrdersFor} from "../interfaces/IMarketOrdersFor.sol";
import {IPermit2} from "../interfaces/IPermit2.sol";
import {Hashes} from "../libraries/Hashes.sol";
import {Price} from "../libraries/Price.sol";
import {JobId} from "../types/JobId.sol";
import {Order} from "../types/Order.sol";
import {Delegating} from "./Delegating.sol";

/// @title Orders that others place for a customer
abstract contract OrdersFor is Orders, Delegating, IMarketOrdersFor {
    using BitMaps for BitMaps.BitMap;
    /// @inheritdoc IMarketOrdersFor
    address public constant PERMIT2 = 0x000000000022D473030F116dDEE9F6B43aC78BA3;

    /// @inheritdoc IMarketOrdersFor
    function openJobSigned(Order calldata order, bytes calldata spec, bytes calldata signature)
        external
        returns (JobId id)
    {
        bytes32 digest = _digestOf(order);
        require(
            SignatureChecker.isValidSignatureNowCalldata(order.customer, digest, signature),
            BadOrderSignature(order.customer, digest)
        );
        _useSalt(order);
        address token;
        uint256 deposit;
        (id, token, deposit) = _open(order, digest, 0, spec);
        _takeCredit(order.customer, token, deposit);
    }

    /// @inheritdoc IMarketOrdersFor
    function openJobByPermit2(Order calldata order, bytes calldata spec, uint256 nonce, bytes calldata signature)
        external
        returns (JobId id)
    {
        _useSalt(order);
        address token;
        uint256 deposit;
        (id, token, deposit) = _open(order, _digestOf(order), 0, spec);
        emit JobPaidByPermit2(id);
        uint256 most = Price.deposit(order.maxPrice, order.gpus, order.duration);
        _takeByPermit2(
            order.customer,
            IPermit2.PermitTransferFrom(IPermit2.TokenPermissions(token, most), nonce, order.deadline),
            deposit,
            Hashes.orderStruct(order),
            signature
        );
    }

    /// @inheritdoc IMarketOrdersFor
    function openJobAs(uint32 delegation, Order calldata order, bytes calldata spec) external returns (JobId id) {
        address principal = _principalOf(delegation);
        require(order.customer == principal, NotPrincipal(delegation, order.customer));
        address token;
        uint256 deposit;
        (id, token, deposit) = _open(order, _digestOf(order), delegation, spec);
        _spend(delegation, token, deposit);
    }

    /// @inheritdoc IMarketOrdersFor
    function cancelOrders(uint256[] calldata salts) external {
        for (uint256 i = 0; i < salts.length; ++i) {
            _salts[msg.sender].set(salts[i]);
            emit OrderCancelled(msg.sender, salts[i]);
        }
    }

    /// @inheritdoc IMarketOrdersFor
    function isSaltUsed(address customer, uint256 salt) external view returns (bool) {
        return _salts[customer].get(salt);
    }

    /// @inheritdoc IMarketOrdersFor
    function topUpAs(JobId id, uint32 extra) external {
        uint32 delegation = id.delegation();
        (address token, uint256 price) = _prolong(id, extra, _principalOf(delegation));
        _spend(delegation, token, price);
    }

    /// @dev A signature places one order, at whatever price: it would name another job at another one.
    function _useSalt(Order calldata order) private {
        BitMaps.BitMap storage used = _salts[order.customer];
        require(!used.get(order.salt), SaltUsed(order.customer, order.salt));
        used.set(order.salt);
    }

    /// @dev Takes an amount by an account's signature for Permit2 over an order.
    function _takeByPermit2(
        address account,
        IPermit2.PermitTransferFrom memory permitted,
        uint256 amount,
        bytes32 witness,
        bytes calldata signature
    ) private nonReentrant {
        address token = permitted.permitted.token;
        IPermit2.SignatureTransferDetails memory details = IPermit2.SignatureTransferDetails(address(this), amount);
        uint256 before = IERC20(token).balanceOf(address(this));
        IPermit2(PERMIT2)
            .permitWitnessTransferFrom(permitted, details, account, witness, Hashes.ORDER_WITNESS, signature);
        _requireMoved(token, amount, before, IERC20(token).balanceOf(address(this)));
    }
}
