// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarketErrors} from "../interfaces/IComputeMarketErrors.sol";
import {IComputeMarketEvents} from "../interfaces/IComputeMarketEvents.sol";
import {OfferId} from "../types/OfferId.sol";
import {Provider} from "../types/Provider.sol";

/// @title What is stored of providers, their price floors and their offers
abstract contract Offers is IComputeMarketErrors, IComputeMarketEvents {
    /// @dev What an order reads of an offer, in two slots.
    struct Posted {
        address provider;
        uint16 startWindow;
        uint24 minDuration;
        uint24 maxDuration;
        uint32 validUntil;
        // ----
        address token;
        uint80 price;
        uint16 available;
    }

    /// @dev An offer in up to seven slots. A claim reads the first three and writes the third.
    struct StoredOffer {
        Posted posted;
        // ----
        uint128 settledAmount;
        uint56 settledGpuSeconds;
        uint24 claimWindow;
        uint40 completed;
        bool verified;
        // ----
        uint48 declined;
        uint48 notStarted;
        uint48 endedByProvider;
        uint48 endedByCustomer;
        // ----
        bytes32 gpuClass;
        bytes32 salt;
        address verifier;
    }

    /// @dev A provider's floors in a token. Orders look for the class's own floor only where there is one of any class.
    struct Floors {
        uint128 standard;
        bool hasOwn;
        mapping(bytes32 gpuClass => uint128) own;
    }

    /// @dev Longest spec and longest card, in bytes.
    uint256 internal constant TEXT_LIMIT = 4096;
    /// @dev Longest windows that an offer can have, in seconds.
    uint32 internal constant START_WINDOW_LIMIT = 18 hours;
    uint32 internal constant CLAIM_WINDOW_LIMIT = 30 days;
    /// @dev Seconds for which an offer takes orders at most, without being posted or updated again.
    uint32 internal constant VALIDITY_LIMIT = 30 days;
    /// @dev Longest order that an offer can allow, in seconds: what a job's state has room for.
    uint32 internal constant DURATION_LIMIT = type(uint24).max;

    mapping(address account => Provider) internal _providers;
    mapping(address account => mapping(address token => Floors)) internal _floors;
    mapping(OfferId => StoredOffer) internal _offers;
    mapping(address account => OfferId[]) internal _offersOf;
    /// @dev Last second at which an order can be taken; 0 where there is no end to that.
    uint40 internal _sunset;

    /// @dev Reverts where an account is the market: it can't call itself, so what it is owed nobody could have sent.
    function _requireOther(address account) internal view {
        require(account != address(this), AccountIsTheMarket());
    }

    /// @dev Whether the caller may run the offers of a provider. Of one that there is not, which has no offers, nobody may: its
    /// address is zero where it is read from an offer that is not there.
    function _isOperator(address account) internal view returns (bool) {
        return msg.sender == account || msg.sender == _providers[account].operator;
    }

    /// @dev Reverts where the caller may not run the offers of a provider.
    function _requireOperator(address account) internal view {
        require(_providers[account].payout != address(0), UnknownProvider(account));
        require(_isOperator(account), NotOperator(msg.sender, account));
    }

    /// @dev Reverts where an offer's provider takes no orders at a price: the floor may have been raised after it was set.
    function _requireAbove(StoredOffer storage stored, Posted memory posted, uint256 price) internal view {
        uint256 lowest = _floorOf(stored, posted);
        require(lowest != 0, TokenRefused(posted.provider, posted.token));
        require(price >= lowest, PriceBelowFloor(price, lowest));
    }

    /// @dev The floor that holds for an offer; 0 where its provider refuses the token.
    function _floorOf(StoredOffer storage stored, Posted memory posted) internal view returns (uint256 lowest) {
        Floors storage floors = _floors[posted.provider][posted.token];
        bool hasOwn;
        (lowest, hasOwn) = (floors.standard, floors.hasOwn);
        if (!hasOwn) return lowest;
        uint256 own = floors.own[stored.gpuClass];
        if (own != 0) return own;
    }
}
