// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {IComputeMarket} from "../interfaces/IComputeMarket.sol";
import {IMarketOffers} from "../interfaces/IMarketOffers.sol";
import {Hashes} from "../libraries/Hashes.sol";
import {Counters, Offer, OfferTerms} from "../types/Offer.sol";
import {OfferId} from "../types/OfferId.sol";
import {Provider} from "../types/Provider.sol";

/// @title Providers, their price floors and their offers
abstract contract Offers is IComputeMarket {
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

    /// @inheritdoc IMarketOffers
    uint256 public constant MAX_TEXT = 4096;
    /// @inheritdoc IMarketOffers
    uint32 public constant MAX_START_WINDOW = 18 hours;
    /// @inheritdoc IMarketOffers
    uint32 public constant MIN_CLAIM_WINDOW = 5 minutes;
    /// @inheritdoc IMarketOffers
    uint32 public constant MAX_CLAIM_WINDOW = 30 days;
    /// @inheritdoc IMarketOffers
    uint32 public constant MAX_VALIDITY = 30 days;
    /// @inheritdoc IMarketOffers
    uint16 public constant MAX_GPUS = 2 ** 15 - 1;
    /// @dev Longest order that an offer can allow, in seconds: what a job's state has room for.
    uint32 internal constant MAX_DURATION = type(uint24).max;

    mapping(address account => Provider) private _providers;
    mapping(address account => mapping(address token => Floors)) private _floors;
    mapping(OfferId => StoredOffer) internal _offers;
    mapping(address account => OfferId[]) private _offersOf;
    /// @dev Last second at which an order can be taken; 0 where there is no end to that.
    uint40 internal _sunset;

    /// @inheritdoc IMarketOffers
    function setProvider(address operator, address payout) external {
        require(payout != address(0), ZeroPayout());
        _providers[msg.sender] = Provider(operator, payout);
        emit ProviderSet(msg.sender, operator, payout);
    }

    /// @inheritdoc IMarketOffers
    function setFloor(address token, bytes32 gpuClass, uint128 price) external {
        Floors storage floors = _floors[msg.sender][token];
        if (gpuClass == 0) floors.standard = price;
        else (floors.own[gpuClass], floors.hasOwn) = (price, true);
        emit FloorSet(msg.sender, token, gpuClass, price);
    }

    /// @inheritdoc IMarketOffers
    function setOffer(
        OfferTerms calldata terms,
        uint128 price,
        uint16 available,
        uint64 validUntil,
        string calldata card
    ) external returns (OfferId offerId) {
        require(bytes(card).length <= MAX_TEXT, TextTooLong(bytes(card).length, MAX_TEXT));
        _requireOperator(terms.provider);

        offerId = Hashes.offerId(terms);
        StoredOffer storage stored = _offers[offerId];
        if (stored.posted.provider == address(0)) {
            _post(offerId, stored, terms);
        } else {
            require(_sameTerms(stored, terms), TermsMismatch(offerId));
        }
        (uint16 gpus, uint64 until) = _setPrice(stored, price, available, validUntil);
        emit OfferSet(offerId, terms.provider, terms, price, gpus, until, card);
    }

    /// @inheritdoc IMarketOffers
    function updateOffer(OfferId offerId, uint128 price, uint16 available, uint64 validUntil) external {
        StoredOffer storage stored = _offers[offerId];
        require(stored.posted.provider != address(0), UnknownOffer(offerId));
        _requireOperator(stored.posted.provider);
        (uint16 gpus, uint64 until) = _setPrice(stored, price, available, validUntil);
        emit OfferUpdated(offerId, price, gpus, until);
    }

    /// @inheritdoc IMarketOffers
    function provider(address account) public view returns (Provider memory) {
        return _providers[account];
    }

    /// @inheritdoc IMarketOffers
    function floor(address account, address token, bytes32 gpuClass) external view returns (uint128) {
        Floors storage floors = _floors[account][token];
        uint128 own = floors.own[gpuClass];
        return own == 0 ? floors.standard : own;
    }

    /// @inheritdoc IMarketOffers
    function offerCountOf(address account) external view returns (uint256) {
        return _offersOf[account].length;
    }

    /// @inheritdoc IMarketOffers
    function offersOf(address account, uint256 from, uint256 count) external view returns (Offer[] memory page) {
        OfferId[] storage ids = _offersOf[account];
        uint256 start = Math.min(from, ids.length);
        page = new Offer[](Math.min(count, ids.length - start));
        for (uint256 i = 0; i < page.length; ++i) {
            page[i] = offer(ids[start + i]);
        }
    }

    /// @inheritdoc IMarketOffers
    function offer(OfferId offerId) public view returns (Offer memory) {
        StoredOffer storage stored = _offers[offerId];
        Posted memory posted = stored.posted;
        require(posted.provider != address(0), UnknownOffer(offerId));
        uint256 lowest = _floorOf(stored, posted);
        return Offer({
            id: offerId,
            terms: _terms(stored),
            price: posted.price,
            available: lowest != 0 && posted.price >= lowest ? posted.available : 0,
            validUntil: posted.validUntil,
            settledGpuSeconds: stored.settledGpuSeconds,
            settledAmount: stored.settledAmount,
            counters: Counters({
                completed: stored.completed,
                declined: stored.declined,
                notStarted: stored.notStarted,
                endedByProvider: stored.endedByProvider,
                endedByCustomer: stored.endedByCustomer
            })
        });
    }

    /// @inheritdoc IMarketOffers
    function offerIdOf(OfferTerms calldata terms) external view returns (OfferId) {
        return Hashes.offerId(terms);
    }

    /// @dev Whether the caller may run the offers of a provider.
    function _isOperator(address account) internal view returns (bool) {
        Provider storage keys = _providers[account];
        return keys.payout != address(0) && (msg.sender == account || msg.sender == keys.operator);
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

    function _floorOf(StoredOffer storage stored, Posted memory posted) private view returns (uint256 lowest) {
        Floors storage floors = _floors[posted.provider][posted.token];
        bool hasOwn;
        (lowest, hasOwn) = (floors.standard, floors.hasOwn);
        if (!hasOwn) return lowest;
        uint256 own = floors.own[stored.gpuClass];
        if (own != 0) return own;
    }

    function _post(OfferId offerId, StoredOffer storage stored, OfferTerms calldata terms) private {
        require(terms.startWindow <= MAX_START_WINDOW, WindowTooLong(terms.startWindow, MAX_START_WINDOW));
        require(terms.claimWindow >= MIN_CLAIM_WINDOW, WindowTooShort(terms.claimWindow, MIN_CLAIM_WINDOW));
        require(terms.claimWindow <= MAX_CLAIM_WINDOW, WindowTooLong(terms.claimWindow, MAX_CLAIM_WINDOW));
        require(
            terms.maxDuration != 0 && terms.minDuration <= terms.maxDuration && terms.maxDuration <= MAX_DURATION,
            InvalidDurations(terms.minDuration, terms.maxDuration, MAX_DURATION)
        );
        stored.posted.provider = terms.provider;
        stored.posted.startWindow = uint16(terms.startWindow);
        stored.posted.minDuration = uint24(terms.minDuration);
        stored.posted.maxDuration = uint24(terms.maxDuration);
        stored.posted.token = terms.token;
        stored.claimWindow = uint24(terms.claimWindow);
        stored.gpuClass = terms.gpuClass;
        stored.salt = terms.salt;
        if (terms.verifier != address(0)) (stored.verifier, stored.verified) = (terms.verifier, true);
        _offersOf[terms.provider].push(offerId);
    }

    /// @dev Nothing is valid for longer than `MAX_VALIDITY`, nor past the sunset. That is announced longer before, so it
    /// binds each offer without being looked at by an order.
    function _setPrice(StoredOffer storage stored, uint128 price, uint16 available, uint64 validUntil)
        private
        returns (uint16 gpus, uint64 until)
    {
        require(price <= type(uint80).max, PriceTooHigh(price, type(uint80).max));
        Posted memory posted = stored.posted;
        _requireAbove(stored, posted, price);
        gpus = uint16(Math.min(available, MAX_GPUS));
        until = uint64(Math.min(validUntil, block.timestamp + MAX_VALIDITY));
        uint256 last = _sunset;
        if (last != 0) until = uint64(Math.min(until, last));
        stored.posted.price = uint80(price);
        stored.posted.available = gpus;
        stored.posted.validUntil = uint32(until);
    }

    /// @dev Compares hashes of all 256 bits: two terms with one id can be ground, these can't.
    function _sameTerms(StoredOffer storage stored, OfferTerms calldata terms) private view returns (bool) {
        return keccak256(abi.encode(_terms(stored))) == keccak256(abi.encode(terms));
    }

    function _terms(StoredOffer storage stored) private view returns (OfferTerms memory) {
        Posted memory posted = stored.posted;
        return OfferTerms({
            provider: posted.provider,
            token: posted.token,
            gpuClass: stored.gpuClass,
            startWindow: posted.startWindow,
            claimWindow: stored.claimWindow,
            minDuration: posted.minDuration,
            maxDuration: posted.maxDuration,
            verifier: stored.verifier,
            salt: stored.salt
        });
    }
}
