// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarketErrors} from "./IComputeMarketErrors.sol";
import {IComputeMarketEvents} from "./IComputeMarketEvents.sol";
import {IMarketClaims} from "./IMarketClaims.sol";
import {IMarketCredits} from "./IMarketCredits.sol";
import {IMarketDelegations} from "./IMarketDelegations.sol";
import {IMarketJobs} from "./IMarketJobs.sol";
import {IMarketOffers} from "./IMarketOffers.sol";
import {IMarketOrders} from "./IMarketOrders.sol";
import {IMarketOrdersFor} from "./IMarketOrdersFor.sol";
import {IMarketOwner} from "./IMarketOwner.sol";
import {IMarketRunning} from "./IMarketRunning.sol";

/// @title Market for GPU time: posted offers, a deposit per job, payment by attested use
/// @notice A provider posts offers. A customer orders against one and deposits the whole price. What the attestor
/// signs for is claimed for the provider; the rest goes back to the customer. Nobody else can move a deposit, and each
/// state has a way out by time alone.
/// @dev Functions that take a batch skip an item that can't be done, with `JobSkipped`, and return how many were done.
/// Amounts are units of the offer's token, prices are token units per GPU-hour, times are Unix seconds, use is in
/// GPU-seconds. "Operator" means the provider's hot key or the provider itself.
/// What of an order only its customer and hash tell is not stored: calls that credit a customer are told these two again
/// (`JobRef`), from the job's `JobOpened` log, and compare them with the job's id.
/// Needs a chain with transient storage and `MCOPY` (Cancun). Elsewhere whatever moves tokens fails, so a market must not be
/// deployed there.
/// A market that is left stays as it is: its jobs end, are claimed and refunded, and its credits can be withdrawn for ever. New orders
/// end with a provider's offers (`available` 0), or for all of them with the sunset.
interface IComputeMarket is
    IComputeMarketEvents,
    IComputeMarketErrors,
    IMarketOffers,
    IMarketOrders,
    IMarketOrdersFor,
    IMarketRunning,
    IMarketClaims,
    IMarketJobs,
    IMarketCredits,
    IMarketDelegations,
    IMarketOwner
{}
