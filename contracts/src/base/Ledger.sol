// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IMarketCredits} from "../interfaces/IMarketCredits.sol";
import {IPermit2} from "../interfaces/IPermit2.sol";
import {Hashes} from "../libraries/Hashes.sol";
import {Offers} from "./Offers.sol";

/// @title Credits: what accounts are owed, and the only three places where tokens move
/// @notice Nobody is ever sent tokens as a side effect of another's call, so a receiver that can't receive blocks
/// nobody but itself. Only these places call tokens, so only they are guarded against calls that come back.
abstract contract Ledger is Offers, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    /// @inheritdoc IMarketCredits
    address public constant PERMIT2 = 0x000000000022D473030F116dDEE9F6B43aC78BA3;

    mapping(address account => mapping(address token => uint256)) private _credits;

    /// @inheritdoc IMarketCredits
    function permit(address token, uint256 value, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external {
        // Where there is no code the call itself would revert, before there is anything to catch.
        if (token.code.length == 0) return;
        // The owner is always the caller: an allowance that others gave can't be drawn on through this.
        try IERC20Permit(token).permit(msg.sender, address(this), value, deadline, v, r, s) {} catch {}
    }

    /// @inheritdoc IMarketCredits
    function deposit(address account, address token, uint256 amount) external {
        require(account != address(0), ZeroAccount());
        _credit(account, token, amount);
        emit Deposited(account, token, msg.sender, amount);
        _pull(token, amount);
    }

    /// @inheritdoc IMarketCredits
    function withdraw(address token, address to, uint256 most) external returns (uint256) {
        address payout = provider(msg.sender).payout;
        require(payout == address(0) || payout == to, PayoutOnly(msg.sender, payout, to));
        return _send(msg.sender, token, to, most);
    }

    /// @inheritdoc IMarketCredits
    function withdrawFor(address account, address token) external returns (uint256) {
        _requireOperator(account);
        return _send(account, token, provider(account).payout, type(uint256).max);
    }

    /// @inheritdoc IMarketCredits
    function credit(address account, address token) external view returns (uint256) {
        return _credits[account][token];
    }

    /// @dev Owes an account more.
    function _credit(address account, address token, uint256 amount) internal {
        if (amount != 0) _credits[account][token] += amount;
    }

    /// @dev Takes an amount from the caller: from its credit first, then its tokens.
    function _take(address token, uint256 amount) internal {
        uint256 owed = _credits[msg.sender][token];
        uint256 fromCredit = Math.min(owed, amount);
        if (fromCredit != 0) _credits[msg.sender][token] = owed - fromCredit;
        if (amount != fromCredit) _pull(token, amount - fromCredit);
    }

    /// @dev Takes an amount from an account's credit alone.
    function _takeCredit(address account, address token, uint256 amount) internal {
        uint256 owed = _credits[account][token];
        require(owed >= amount, CreditTooLow(account, token, owed, amount));
        unchecked {
            _credits[account][token] = owed - amount;
        }
    }

    /// @dev Takes an amount by an account's signature for Permit2 over an order.
    function _takeByPermit2(
        address account,
        IPermit2.PermitTransferFrom memory permitted,
        uint256 amount,
        bytes32 witness,
        bytes calldata signature
    ) internal nonReentrant {
        address token = permitted.permitted.token;
        IPermit2.SignatureTransferDetails memory details = IPermit2.SignatureTransferDetails(address(this), amount);
        uint256 before = IERC20(token).balanceOf(address(this));
        IPermit2(PERMIT2)
            .permitWitnessTransferFrom(permitted, details, account, witness, Hashes.ORDER_WITNESS, signature);
        _requireMoved(token, amount, before, IERC20(token).balanceOf(address(this)));
    }

    /// @dev Pays an account's credit out: at most what was asked, and what is there of a token that shrank the market's
    /// balance. The rest stays its credit.
    function _send(address account, address token, address to, uint256 most)
        internal
        nonReentrant
        returns (uint256 amount)
    {
        uint256 owed = _credits[account][token];
        uint256 before = IERC20(token).balanceOf(address(this));
        amount = Math.min(Math.min(owed, most), before);
        require(amount != 0, NothingToWithdraw(account, token));
        _credits[account][token] = owed - amount;
        emit Withdrawn(account, token, to, amount);

        IERC20(token).safeTransfer(to, amount);
        _requireMoved(token, amount, IERC20(token).balanceOf(address(this)), before);
    }

    /// @dev Takes tokens from the caller. What arrives is told by the balance.
    function _pull(address token, uint256 amount) private nonReentrant {
        uint256 before = IERC20(token).balanceOf(address(this));
        IERC20(token).safeTransferFrom(msg.sender, address(this), amount);
        _requireMoved(token, amount, before, IERC20(token).balanceOf(address(this)));
    }

    function _requireMoved(address token, uint256 expected, uint256 less, uint256 more) private pure {
        uint256 moved = Math.saturatingSub(more, less);
        require(moved == expected, TransferMismatch(token, expected, moved));
    }
}
