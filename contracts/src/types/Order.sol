// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {JobId} from "./JobId.sol";
import {OfferId} from "./OfferId.sol";

/// @notice What a customer orders, as it is signed: the EIP-712 message `Order` of this market.
struct Order {
    /// Offer.
    OfferId offerId;
    /// Whose order it is: who may end it, and who is credited what comes back.
    address customer;
    /// Number of GPUs.
    uint16 gpus;
    /// Seconds.
    uint32 duration;
    /// Highest price that the customer accepts, token units per GPU-hour.
    uint128 maxPrice;
    /// Last second at which the order can be placed.
    uint64 deadline;
    /// Tells apart orders that are otherwise the same; a signed order is placed once for each.
    uint256 salt;
    /// keccak256 of the public description of the workload, the spec.
    bytes32 specHash;
    /// Whether the order may be placed without the spec's text, because the provider gets it in another way. Otherwise whoever
    /// places the order posts the text with it: nobody can place it in a way that makes the provider decline.
    bool specOffChain;
}

/// @notice A job and whose it is, for calls that credit or ask its customer.
struct JobRef {
    JobId id;
    /// Customer, as in the order; not read where a delegate placed it.
    address customer;
    /// Hash of the order, which follows from `JobOpened`; not read where a delegate placed it.
    bytes32 orderHash;
}
