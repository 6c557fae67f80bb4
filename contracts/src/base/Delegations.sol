// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {TokenFlow} from "./TokenFlow.sol";

/// @title What is stored of what others may spend of an account's credit
/// @notice A delegation is never taken from the list: orders that were placed by it are its principal's for ever.
abstract contract Delegations is TokenFlow {
    struct StoredDelegation {
        address principal;
        uint40 until;
        // ----
        address delegate;
        // ----
        address token;
        // ----
        uint112 perDay;
        uint112 spent;
        uint32 day;
    }

    /// @dev Highest number of a delegation: what a job's id has room for.
    uint32 internal constant DELEGATION_LIMIT = 2 ** 31 - 1;

    mapping(uint32 delegation => StoredDelegation) internal _delegations;
    uint32 internal _delegationCount;

    /// @dev Whose credit a delegation spends.
    function _principalOf(uint32 delegation) internal view returns (address) {
        return _delegations[delegation].principal;
    }

    /// @dev Whether the caller may act by a delegation now.
    function _isDelegate(uint32 delegation) internal view returns (bool) {
        StoredDelegation storage stored = _delegations[delegation];
        return stored.delegate == msg.sender && block.timestamp <= stored.until;
    }
}
