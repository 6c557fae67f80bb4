// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {TokenFlow} from "../base/TokenFlow.sol";
import {IMarketCredits} from "../interfaces/IMarketCredits.sol";

/// @title How credit comes and goes
abstract contract Credits is TokenFlow, IMarketCredits {
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
        _requireOther(account);
        // A token may say that it moved anything: whatever is credited later must fit beside it, or a refund would revert.
        require(amount <= type(uint128).max, AmountTooHigh(amount, type(uint128).max));
        _credit(account, token, amount);
        emit Deposited(account, token, msg.sender, amount);
        _pull(token, amount);
    }

    /// @inheritdoc IMarketCredits
    function withdraw(address token, address to, uint256 most) external returns (uint256) {
        address payout = _providers[msg.sender].payout;
        require(payout == address(0) || payout == to, PayoutOnly(msg.sender, payout, to));
        return _withdraw(msg.sender, token, to, most);
    }

    /// @inheritdoc IMarketCredits
    function withdrawFor(address account, address token) external returns (uint256) {
        _requireOperator(account);
        return _withdraw(account, token, _providers[account].payout, type(uint256).max);
    }

    /// @inheritdoc IMarketCredits
    function credit(address account, address token) external view returns (uint256) {
        return _credits[account][token];
    }

    function _withdraw(address account, address token, address to, uint256 most) private returns (uint256 amount) {
        amount = _send(_credits[account], account, token, to, most);
        emit Withdrawn(account, token, to, amount);
    }
}
