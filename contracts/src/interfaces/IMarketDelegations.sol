// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Delegation} from "../types/Delegation.sol";

/// @title What an account lets others spend
/// @notice A delegate orders in the name of its principal (`openJobAs`), tops up and ends what it ordered, and is paid for by the
/// principal's credit. What comes back is the principal's. It can't withdraw. It chooses the provider, and
/// can collude with one: a day's limit is what can be lost in a day, and twice that around midnight of UTC.
interface IMarketDelegations {
    /// @notice Lets somebody spend of the caller's credit in a token.
    /// @dev By anybody, for itself; `deposit` gives it the credit. Errors: `TooManyDelegations`. Event: `DelegationSet`.
    /// @param to The delegate.
    /// @param token ERC-20 token.
    /// @param perDay Token units that can be spent in one day of UTC. What comes back that day makes no room in it.
    /// @param until Last second at which anything can be spent.
    /// @return delegation Number of the delegation; there may be several for one delegate.
    function delegate(address to, address token, uint112 perDay, uint40 until) external returns (uint32 delegation);

    /// @notice Changes limit and end of a delegation, at once. `until` 0 revokes it; the jobs that were ordered by it go on.
    /// @dev By the principal. Errors: `NotPrincipal`. Event: `DelegationSet`.
    /// @param delegation Number of the delegation.
    /// @param perDay Token units that can be spent in one day of UTC; what was spent today counts.
    /// @param until Last second at which anything can be spent.
    function changeDelegation(uint32 delegation, uint112 perDay, uint40 until) external;

    /// @notice A delegation; zeros where there is none.
    function delegationOf(uint32 delegation) external view returns (Delegation memory);

    /// @notice Number of the delegation that was made last; they are counted from 1.
    function delegationCount() external view returns (uint32);

    /// @notice Most delegations of a market, as there are numbers in a job's id.
    function MAX_DELEGATIONS() external pure returns (uint32);
}
