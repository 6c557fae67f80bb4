// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {Offers} from "../base/Offers.sol";
import {IMarketOffers} from "../interfaces/IMarketOffers.sol";
import {Hashes} from "../libraries/Hashes.sol";
import {Counters, Offer, OfferTerms} from "../types/Offer.sol";
import {OfferId} from "../types/OfferId.sol";
import {Provider} from "../types/Provider.sol";

/// @title Providers, their price floors and their offers
abstract contract OfferBook is Offers, IMarketOffers {
    /// @inheritdoc IMarketOffers
    uint256 public constant MAX_TEXT = TEXT_LIMIT;
    /// @inheritdoc IMarketOffers
    uint32 public constant MAX_START_WINDOW = START_WINDOW_LIMIT;
    /// @inheritdoc IMarketOffers
    uint32 public constant MIN_CLAIM_WINDOW = 5 minutes;
    /// @inheritdoc IMarketOffers
    uint32 public constant MAX_CLAIM_WINDOW = CLAIM_WINDOW_LIMIT;
    /// @inheritdoc IMarketOffers
    uint32 public constant MAX_VALIDITY = VALIDITY_LIMIT;
    /// @inheritdoc IMarketOffers
    uint32 public constant MAX_DURATION = DURATION_LIMIT;
    /// @inheritdoc IMarketOffers
    uint16 public constant MAX_GPUS = 2 ** 15 - 1;

    /// @inheritdoc IMarketOffers
    function setProvider(address operator, address payout) external {
        require(payout != address(0), ZeroPayout());
        _requireOther(payout);
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
    function provider(address account) external view returns (Provider memory) {
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

    function _post(OfferId offerId, StoredOffer storage stored, OfferTerms calldata terms) private {
        require(terms.startWindow <= MAX_START_WINDOW, WindowTooLong(terms.startWindow, MAX_START_WINDOW));
        require(terms.claimWindow >= MIN_CLAIM_WINDOW, WindowTooShort(terms.claimWindow, MIN_CLAIM_WINDOW));
        require(terms.claimWindow <= MAX_CLAIM_WINDOW, WindowTooLong(terms.claimWindow, MAX_CLAIM_WINDOW));
        require(
            terms.maxDuration != 0 && terms.minDuration <= terms.maxDuration && terms.maxDuration <= DURATION_LIMIT,
            InvalidDurations(terms.minDuration, terms.maxDuration, DURATION_LIMIT)
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
