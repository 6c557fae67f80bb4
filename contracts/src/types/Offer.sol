// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {OfferId} from "./OfferId.sol";

/// @notice What an offer is. All of it is hashed into the offer's id, so none of it can change under a customer.
struct OfferTerms {
    /// Provider's cold key; is paid for the jobs of this offer.
    address provider;
    /// ERC-20 token in which the price is meant.
    address token;
    /// GPU class: product name in UTF-8, zero-padded, or a hash of it where it is longer than 32 bytes.
    bytes32 gpuClass;
    /// Seconds after the order in which the job can be started, at most `MAX_START_WINDOW`; later the customer can take the
    /// deposit back.
    uint32 startWindow;
    /// Seconds after the end of a job in which its use can be claimed, at least `MIN_CLAIM_WINDOW`; later the customer can take
    /// the rest back.
    uint32 claimWindow;
    /// Shortest order, in seconds. A customer's `endJob` never ends a job earlier than this after its start.
    uint32 minDuration;
    /// Longest order, in seconds, top-ups included.
    uint32 maxDuration;
    /// Contract that each voucher of the offer's jobs must satisfy besides the attestor's signature (`IVerifier`); zero
    /// for none.
    address verifier;
    /// Tells apart offers that are otherwise the same.
    bytes32 salt;
}

/// @notice How jobs of an offer came to their ends, beside what was paid. Each job is in one of these at most. Anybody can
/// order, so customers can raise `declined` and `notStarted` with orders that can't be served and `endedByCustomer` with
/// small ones, and a provider that orders from itself `completed`: these say what happened by the clock, and not who is
/// good.
struct Counters {
    /// Jobs that were closed after their time was over, as it was paid for: by whichever call, also where nothing was claimed.
    uint40 completed;
    /// Orders that the provider turned down.
    uint48 declined;
    /// Orders that the provider let lie until the start deadline had passed.
    uint48 notStarted;
    /// Jobs that the provider ended before the time that was paid, at once or with notice.
    uint48 endedByProvider;
    /// Jobs that the customer ended before the time that was paid, and the provider had not before.
    uint48 endedByCustomer;
}

/// @notice An offer as it stands now.
struct Offer {
    /// Name of the offer.
    OfferId id;
    /// What never changes.
    OfferTerms terms;
    /// Token units per GPU-hour that an order pays now. At most 2^80 - 1.
    uint128 price;
    /// Most GPUs that one order can ask for now: the provider's statement, not a ledger. 0 where the provider's floor refuses
    /// the token or class or lies above the price: then no order is taken, whatever was stated.
    uint16 available;
    /// Last Unix second at which an order is taken.
    uint64 validUntil;
    /// GPU-seconds paid so far over all jobs of this offer.
    uint64 settledGpuSeconds;
    /// Token units paid so far over all jobs of this offer, fee included. Stays at 2^128 - 1 once there.
    uint256 settledAmount;
    /// How its jobs came to their ends.
    Counters counters;
}
