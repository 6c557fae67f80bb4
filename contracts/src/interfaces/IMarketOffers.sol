// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Offer, OfferTerms} from "../types/Offer.sol";
import {OfferId} from "../types/OfferId.sol";
import {Provider} from "../types/Provider.sol";

/// @title Providers, their price floors and their offers
interface IMarketOffers {
    /// @notice Sets the caller's operator (hot key) and payout address. Works at once, on running jobs too.
    /// @dev Anybody for itself. From then on, the caller's whole credit can be *withdrawn* to `payout` only. The caller itself
    /// can still spend it on orders, with any provider: whoever has the cold key isn't bound to `payout`. Errors:
    /// `ZeroPayout`, `AccountIsTheMarket`. Event: `ProviderSet`.
    /// @param operator Hot key; zero revokes it.
    /// @param payout Where the earnings go; never zero, nor the market.
    function setProvider(address operator, address payout) external;

    /// @notice Sets the lowest price of the caller's offers in a token, for new orders at once: of one GPU class, or of all
    /// classes that have no floor of their own.
    /// @dev Anybody for itself: an operator can't set it. It doesn't touch orders that were placed, nor their top-ups. An
    /// offer below a raised floor takes no orders; `offersOf` and `offer` show 0 available until it is posted at the floor or
    /// above, or the floor falls again while the offer is valid. No event names the offers that this concerns.
    /// Once there is a floor of any class in a token, each order in it costs 4,300 gas more.
    /// Event: `FloorSet`.
    /// @param token ERC-20 token.
    /// @param gpuClass GPU class as in the offers' terms; 0 sets the floor of all classes that have none of their own.
    /// @param price Token units per GPU-hour. 0 for a class: it has none of its own. 0 for class 0: the token is refused for
    /// all classes that have none of their own. 2^128 - 1 refuses a class, because no price is that high.
    function setFloor(address token, bytes32 gpuClass, uint128 price) external;

    /// @notice Posts an offer, or posts it again with another price, availability, validity or card.
    /// @dev By the operator. Errors: `TextTooLong`, `UnknownProvider`, `NotOperator`, `WindowTooLong`, `WindowTooShort`,
    /// `InvalidDurations`, `TermsMismatch`, `PriceTooHigh`, `TokenRefused`, `PriceBelowFloor`. Event: `OfferSet`. Nothing is
    /// ever taken from a provider's list of offers.
    /// @param terms What never changes.
    /// @param price Token units per GPU-hour, at least the provider's floor, at most 2^80 - 1.
    /// @param available Most GPUs that one order may ask for; 0 pauses the offer. A statement, no ledger. The market keeps at
    /// most `MAX_GPUS`.
    /// @param validUntil Last second at which an order is taken; the market keeps at most `MAX_VALIDITY` from now, and
    /// nothing after its sunset.
    /// @param card Free text about the offer, at most `MAX_TEXT` bytes; it lives in the log only.
    /// @return offerId Name of the offer.
    function setOffer(
        OfferTerms calldata terms,
        uint128 price,
        uint16 available,
        uint64 validUntil,
        string calldata card
    ) external returns (OfferId offerId);

    /// @notice Changes what may change of an offer, for new orders.
    /// @dev By the operator. Errors: `UnknownOffer`, `NotOperator`, `PriceTooHigh`, `TokenRefused`, `PriceBelowFloor`.
    /// Event: `OfferUpdated`.
    /// @param offerId Offer.
    /// @param price Token units per GPU-hour, at least the provider's floor, at most 2^80 - 1.
    /// @param available Most GPUs that one order may ask for; 0 pauses the offer. The market keeps at most `MAX_GPUS`.
    /// @param validUntil Last second at which an order is taken; the market keeps at most `MAX_VALIDITY` from now, and
    /// nothing after its sunset.
    function updateOffer(OfferId offerId, uint128 price, uint16 available, uint64 validUntil) external;

    /// @notice Keys of a provider; zero addresses where there is none.
    function provider(address account) external view returns (Provider memory);

    /// @notice Lowest price of a provider's offers of a GPU class in a token, token units per GPU-hour; 0 where it is refused.
    /// Class 0 asks for the floor of all classes that have none of their own.
    function floor(address account, address token, bytes32 gpuClass) external view returns (uint128);

    /// @notice Number of offers that a provider ever posted.
    function offerCountOf(address account) external view returns (uint256);

    /// @notice At most `count` offers of a provider in the order in which they were first posted, starting with number
    /// `from`. Only the provider and its operator make this list longer. Who the providers are say the `OfferSet` logs.
    function offersOf(address account, uint256 from, uint256 count) external view returns (Offer[] memory);

    /// @notice An offer; reverts with `UnknownOffer` where there is none.
    function offer(OfferId offerId) external view returns (Offer memory);

    /// @notice Id on this market of the offer with these terms, posted or not.
    function offerIdOf(OfferTerms calldata terms) external view returns (OfferId);

    /// @notice Longest spec and longest card, in bytes.
    function MAX_TEXT() external pure returns (uint256);

    /// @notice Longest start window, in seconds. There is no shortest one: where orders are acted on only once their block is
    /// final, a window that is shorter than finality takes (768 s and more on Ethereum) sells nothing.
    function MAX_START_WINDOW() external pure returns (uint32);

    /// @notice Shortest claim window, in seconds: time for a claim to be sent again with a higher gas price. It doesn't cover a
    /// chain that stands still for an hour: a provider chooses hours.
    function MIN_CLAIM_WINDOW() external pure returns (uint32);

    /// @notice Longest claim window, in seconds.
    function MAX_CLAIM_WINDOW() external pure returns (uint32);

    /// @notice Seconds for which an offer takes orders at most, without being posted or updated again.
    function MAX_VALIDITY() external pure returns (uint32);

    /// @notice Longest order that an offer can allow, in seconds.
    function MAX_DURATION() external pure returns (uint32);

    /// @notice Most GPUs of one order.
    function MAX_GPUS() external pure returns (uint16);
}
