// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {JobId} from "../types/JobId.sol";
import {JobRef, Order} from "../types/Order.sol";

/// @title Orders, and what can be done about them afterwards by those who pay
/// @notice There are four ways to place one, which differ in who wants it, who pays and who sends the transaction. All of
/// them: the deposit is `ceil(price * gpus * duration / 3600)`. What comes back is credit of the order's customer. Between
/// the price and `maxPrice` the provider chooses: it can see the order coming and raise its price up to there. Errors:
/// `ZeroAccount`, `AccountIsTheMarket`, `OrderExpired`, `UnknownOffer`, `OfferExpired`, `GpusUnavailable`, `PriceAboveMax`,
/// `DurationOutOfRange`, `TokenRefused`, `PriceBelowFloor`, `JobExists`, `TextTooLong`, `SpecMissing`, `SpecMismatch`.
/// Events: `JobOpened`, and `SpecPosted` where the spec was given. The spec, at most `MAX_TEXT` bytes of public text, is
/// logged. It can be left out only where the order says so (`specOffChain`): then the provider must get it in another way,
/// and declines the order if it doesn't.
interface IMarketOrders {
    /// @notice Places an order, for the caller or for somebody else; the caller's credit pays, then its allowance.
    /// @dev By anybody. It is `order.customer` who may end the job, and who is credited what comes back. Where a token stands still
    /// (paused, or the market is blocked by it), orders that credit covers go on, and can't be paid out until it moves
    /// again. Errors: those above, `TransferMismatch`. Events: those above, and `JobPaidBy` where the caller is not the
    /// customer.
    /// @param order Order.
    /// @param spec Public description of the workload; nothing where the order allows that.
    /// @return id Name of the job.
    function openJob(Order calldata order, bytes calldata spec) external returns (JobId id);

    /// @notice Pays for more time at the locked price, up to the offer's longest duration, from the caller's credit, then its
    /// allowance.
    /// @dev By anybody, while the job is running, or is open and can still be started, and no end was announced. What comes
    /// back of it is the customer's. Errors: `ZeroExtra`, `WrongStatus`, `StartDeadlinePassed`, `EndAnnounced`,
    /// `DurationOutOfRange`, `TransferMismatch`. Event: `JobToppedUp`.
    /// @param id Job.
    /// @param extra Seconds to add, at least one.
    function topUp(JobId id, uint32 extra) external;

    /// @notice Moves the end of a running job forward to `END_NOTICE` seconds from now, but not before its shortest
    /// duration. The tail is credited at once; use until the end can still be claimed.
    /// @dev By the customer, or the delegate who ordered it. Errors: `NotCustomer`, `WrongStatus`, `EndNotEarlier`. Event:
    /// `JobEndAnnounced`.
    /// @param ref Job, with what proves whose it is.
    /// @return end Second at which the job ends now.
    function endJob(JobRef calldata ref) external returns (uint64 end);

    /// @notice Seconds between a customer's `endJob` and the end at the earliest.
    function END_NOTICE() external pure returns (uint32);
}
