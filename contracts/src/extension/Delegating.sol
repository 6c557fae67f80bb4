// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Delegations} from "../base/Delegations.sol";
import {IMarketDelegations} from "../interfaces/IMarketDelegations.sol";
import {Delegation} from "../types/Delegation.sol";

/// @title Delegations: what others may spend of an account's credit
abstract contract Delegating is Delegations, IMarketDelegations {
    /// @inheritdoc IMarketDelegations
    uint32 public constant MAX_DELEGATIONS = DELEGATION_LIMIT;

    /// @inheritdoc IMarketDelegations
    function delegate(address to, address token, uint112 perDay, uint40 until) external returns (uint32 delegation) {
        delegation = ++_delegationCount;
        require(delegation <= MAX_DELEGATIONS, TooManyDelegations(MAX_DELEGATIONS));
        _delegations[delegation] = StoredDelegation(msg.sender, until, to, token, perDay, 0, 0);
        emit DelegationSet(delegation, msg.sender, to, token, perDay, until);
    }

    /// @inheritdoc IMarketDelegations
    function changeDelegation(uint32 delegation, uint112 perDay, uint40 until) external {
        StoredDelegation storage stored = _delegations[delegation];
        require(stored.principal == msg.sender, NotPrincipal(delegation, msg.sender));
        (stored.perDay, stored.until) = (perDay, until);
        emit DelegationSet(delegation, msg.sender, stored.delegate, stored.token, perDay, until);
    }

    /// @inheritdoc IMarketDelegations
    function delegationOf(uint32 delegation) external view returns (Delegation memory) {
        StoredDelegation memory stored = _delegations[delegation];
        return Delegation({
            principal: stored.principal,
            delegate: stored.delegate,
            token: stored.token,
            perDay: stored.perDay,
            spentToday: stored.day == _today() ? stored.spent : 0,
            until: stored.until
        });
    }

    /// @inheritdoc IMarketDelegations
    function delegationCount() external view returns (uint32) {
        return _delegationCount;
    }

    /// @dev Takes an amount of the principal's credit for the caller, within what is left of the day.
    function _spend(uint32 delegation, address token, uint256 amount) internal {
        StoredDelegation storage stored = _delegations[delegation];
        require(_isDelegate(delegation), NotDelegate(delegation, msg.sender));
        require(stored.token == token, OtherToken(delegation, stored.token, token));
        uint256 spent = amount + (stored.day == _today() ? stored.spent : 0);
        require(spent <= stored.perDay, LimitExceeded(delegation, spent, stored.perDay));
        (stored.spent, stored.day) = (uint112(spent), _today());
        _takeCredit(stored.principal, token, amount);
    }

    function _today() private view returns (uint32) {
        return uint32(block.timestamp / 1 days);
    }
}
