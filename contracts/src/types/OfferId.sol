// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @notice Name of an offer: the first 96 bits of the hash of its terms (see `OfferTerms`).
/// @dev 96 bits can be ground by the offer's own provider (2^48 work), so the market also compares the terms.
type OfferId is bytes12;

using {equals as ==, differs as !=} for OfferId global;

function equals(OfferId a, OfferId b) pure returns (bool) {
    return OfferId.unwrap(a) == OfferId.unwrap(b);
}

function differs(OfferId a, OfferId b) pure returns (bool) {
    return OfferId.unwrap(a) != OfferId.unwrap(b);
}
