// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IComputeMarket} from "../interfaces/IComputeMarket.sol";
import {Offers} from "./Offers.sol";

/// @title Credits: what accounts are owed, and the only two places where tokens move
/// @notice Nobody is ever sent tokens as a side effect of another's call, so a receiver that can't receive blocks
/// nobody but itself.
abstract contract Ledger is Offers, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    mapping(address account => mapping(address token => uint256)) private _credits;

    /// @inheritdoc IComputeMarket
    function permit(address token, uint256 value, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external {
        // Where there is no code the call itself would revert, before there is anything to catch.
        if (token.code.length == 0) return;
        // The owner is always the caller: an allowance that others gave can't be drawn on through this.
        try IERC20Permit(token).permit(msg.sender, address(this), value, deadline, v, r, s) {} catch {}
    }

    /// @inheritdoc IComputeMarket
    function withdraw(address token, address to) external nonReentrant returns (uint256) {
        address payout = provider(msg.sender).payout;
        require(payout == address(0) || payout == to, PayoutOnly(msg.sender, payout, to));
        return _send(msg.sender, token, to);
    }

    /// @inheritdoc IComputeMarket
    function withdrawFor(address account, address token) external nonReentrant returns (uint256) {
        _requireOperator(account);
        return _send(account, token, provider(account).payout);
    }

    /// @inheritdoc IComputeMarket
    function credit(address account, address token) external view returns (uint256) {
        return _credits[account][token];
    }

    /// @dev Owes an account more.
    function _credit(address account, address token, uint256 amount) internal {
        if (amount != 0) _credits[account][token] += amount;
    }

    /// @dev Takes an amount from the caller: from its credit first, then its tokens. Callers are `nonReentrant`, so
    /// that what arrives can be told by the balance.
    function _take(address token, uint256 amount) internal {
        uint256 owed = _credits[msg.sender][token];
        uint256 fromCredit = Math.min(owed, amount);
        if (fromCredit != 0) _credits[msg.sender][token] = owed - fromCredit;
        uint256 rest = amount - fromCredit;
        if (rest == 0) return;

        uint256 before = IERC20(token).balanceOf(address(this));
        IERC20(token).safeTransferFrom(msg.sender, address(this), rest);
        _requireMoved(token, rest, before, IERC20(token).balanceOf(address(this)));
    }

    /// @dev Pays an account's credit out: all of it, or what is there of a token that shrank the market's balance. The rest
    /// stays its credit.
    function _send(address account, address token, address to) private returns (uint256 amount) {
        uint256 owed = _credits[account][token];
        require(owed != 0, NothingToWithdraw(account, token));
        uint256 before = IERC20(token).balanceOf(address(this));
        amount = Math.min(owed, before);
        require(amount != 0, NothingToWithdraw(account, token));
        _credits[account][token] = owed - amount;
        emit Withdrawn(account, token, to, amount);

        IERC20(token).safeTransfer(to, amount);
        _requireMoved(token, amount, IERC20(token).balanceOf(address(this)), before);
    }

    function _requireMoved(address token, uint256 expected, uint256 less, uint256 more) private pure {
        uint256 moved = Math.saturatingSub(more, less);
        require(moved == expected, TransferMismatch(token, expected, moved));
    }
}
