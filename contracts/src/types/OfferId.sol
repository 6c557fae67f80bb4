// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @notice Name of an offer: the first 64 bits of the hash of its terms, of the market's address and of the chain's id (see
/// `OfferTerms`). So the same terms have another name on another market.
/// @dev 64 bits can be ground by the offer's own provider (2^32 work), so the market also compares the terms.
type OfferId is bytes8;

using {equals as ==, differs as !=} for OfferId global;

function equals(OfferId a, OfferId b) pure returns (bool) {
    return OfferId.unwrap(a) == OfferId.unwrap(b);
}

function differs(OfferId a, OfferId b) pure returns (bool) {
    return OfferId.unwrap(a) != OfferId.unwrap(b);
}
