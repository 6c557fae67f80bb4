// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {JobId} from "../types/JobId.sol";
import {Order} from "../types/Order.sol";

/// @title Orders that others place for a customer
/// @notice Besides the errors that are named here, all of those of `IMarketOrders`, and its events.
interface IMarketOrdersFor {
    /// @notice Places an order that its customer signed (EIP-712; ERC-1271 where the customer is a contract); the customer's
    /// credit pays.
    /// @dev By anybody, until the order's deadline, once for each salt, as long as it was not cancelled. Errors: those above,
    /// `BadOrderSignature`, `SaltUsed`, `CreditTooLow`.
    /// @param order Order.
    /// @param spec Public description of the workload; nothing where the order allows that.
    /// @param signature The customer's.
    /// @return id Name of the job.
    function openJobSigned(Order calldata order, bytes calldata spec, bytes calldata signature)
        external
        returns (JobId id);

    /// @notice Places an order that its customer signed together with a transfer of tokens by Permit2; these tokens pay.
    /// @dev By anybody, as above. What is signed is Permit2's `PermitWitnessTransferFrom` to this market with the order as
    /// witness, the order's deadline, and as amount what the deposit would be at `maxPrice`. Errors: those above, `SaltUsed`,
    /// `TransferMismatch`, those of Permit2.
    /// Event: `JobPaidByPermit2`, after those above.
    /// @param order Order.
    /// @param spec Public description of the workload; nothing where the order allows that.
    /// @param nonce Permit2's.
    /// @param signature The customer's.
    /// @return id Name of the job.
    function openJobByPermit2(Order calldata order, bytes calldata spec, uint256 nonce, bytes calldata signature)
        external
        returns (JobId id);

    /// @notice Places an order in the name of a delegation's principal, whose credit pays, within the limit of the day.
    /// @dev By the delegate. Errors: those above, `NotPrincipal` where the order's customer is another, `NotDelegate`,
    /// `OtherToken`, `LimitExceeded`, `CreditTooLow`.
    /// @param delegation Number of the delegation.
    /// @param order Order.
    /// @param spec Public description of the workload; nothing where the order allows that.
    /// @return id Name of the job, which carries the delegation.
    function openJobAs(uint32 delegation, Order calldata order, bytes calldata spec) external returns (JobId id);

    /// @notice Makes the caller's signed orders with these salts worthless, by whichever signature they would be paid.
    /// @dev By anybody, for itself. An order that was placed already stays. Event: `OrderCancelled` for each.
    /// @param salts Salts of the orders.
    function cancelOrders(uint256[] calldata salts) external;

    /// @notice Pays for more time of a job that a delegate ordered, as `topUp` does, from the principal's credit within the limit of the day.
    /// @dev By the delegate of that delegation. Errors: those of `topUp`, `NotDelegate`, `OtherToken`, `LimitExceeded`,
    /// `CreditTooLow`. Event: `JobToppedUp`.
    /// @param id Job.
    /// @param extra Seconds to add.
    function topUpAs(JobId id, uint32 extra) external;

    /// @notice Whether a signed order with this salt was placed or cancelled.
    function isSaltUsed(address customer, uint256 salt) external view returns (bool);

    /// @notice Uniswap's Permit2. Where it is not on a chain, `openJobByPermit2` fails there, and nothing else.
    function PERMIT2() external pure returns (address);
}
