// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Offers} from "./Offers.sol";

/// @title Token flow: what accounts are owed, and how tokens come in and go out
/// @notice No order, claim, end or refund sends tokens: they credit. So a receiver that can't receive blocks nobody but
/// itself. Tokens leave by `_send` alone, to whom the account names, to a provider's payout address, or to a fee sink. They
/// come by `_pull`, and by Permit2 (`OrdersFor`). These three are guarded against calls that come back.
abstract contract TokenFlow is Offers, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    mapping(address account => mapping(address token => uint256)) internal _credits;

    /// @dev Owes an account more. It can't overflow: a deposit has 128 bits at most, what an order holds 119, and nobody
    /// makes 2^128 of them.
    function _credit(address account, address token, uint256 amount) internal {
        if (amount != 0) _credits[account][token] += amount;
    }

    /// @dev Takes an amount from the caller: from its credit first, then its tokens.
    function _take(address token, uint256 amount) internal {
        mapping(address => uint256) storage own = _credits[msg.sender];
        uint256 owed = own[token];
        unchecked {
            if (owed >= amount) {
                own[token] = owed - amount;
            } else {
                if (owed != 0) own[token] = 0;
                _pull(token, amount - owed);
            }
        }
    }

    /// @dev Takes an amount from an account's credit alone.
    function _takeCredit(address account, address token, uint256 amount) internal {
        uint256 owed = _credits[account][token];
        require(owed >= amount, CreditTooLow(account, token, owed, amount));
        unchecked {
            _credits[account][token] = owed - amount;
        }
    }

    /// @dev Pays out what an account is owed, of its credits or of its fees: at most what was asked, and what is there of a
    /// token that shrank the market's balance. The rest stays owed.
    function _send(
        mapping(address token => uint256) storage owing,
        address account,
        address token,
        address to,
        uint256 most
    ) internal nonReentrant returns (uint256 amount) {
        uint256 owed = owing[token];
        uint256 before = IERC20(token).balanceOf(address(this));
        amount = Math.min(Math.min(owed, most), before);
        require(amount != 0, NothingToWithdraw(account, token));
        owing[token] = owed - amount;

        IERC20(token).safeTransfer(to, amount);
        _requireMoved(token, amount, IERC20(token).balanceOf(address(this)), before);
    }

    /// @dev Takes tokens from the caller. What arrives is told by the balance.
    function _pull(address token, uint256 amount) internal nonReentrant {
        uint256 before = IERC20(token).balanceOf(address(this));
        IERC20(token).safeTransferFrom(msg.sender, address(this), amount);
        _requireMoved(token, amount, before, IERC20(token).balanceOf(address(this)));
    }

    /// @dev Reverts where a token moved another amount than it was told to.
    function _requireMoved(address token, uint256 expected, uint256 less, uint256 more) internal pure {
        uint256 moved = Math.saturatingSub(more, less);
        require(moved == expected, TransferMismatch(token, expected, moved));
    }
}
