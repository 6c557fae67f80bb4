// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {IComputeMarket} from "../interfaces/IComputeMarket.sol";
import {Hashes} from "../libraries/Hashes.sol";
import {Offer, OfferTerms} from "../types/Offer.sol";
import {OfferId} from "../types/OfferId.sol";
import {Provider} from "../types/Provider.sol";

/// @title Providers, their price floors and their offers
abstract contract Offers is IComputeMarket {
    /// @dev An offer in five slots. A claim reads the first two and writes the third.
    struct StoredOffer {
        address provider;
        uint24 startWindow;
        uint24 claimWindow;
        uint24 minDuration;
        uint24 maxDuration;
        // ----
        address token;
        uint80 price;
        uint16 available;
        // ----
        uint40 validUntil;
        uint88 settledGpuSeconds;
        uint128 settledAmount;
        // ----
        bytes32 gpuClass;
        bytes32 salt;
    }

    /// @inheritdoc IComputeMarket
    uint256 public constant MAX_TEXT = 4096;
    /// @inheritdoc IComputeMarket
    uint256 public constant MAX_REASON = 256;
    /// @inheritdoc IComputeMarket
    uint32 public constant MAX_START_WINDOW = 1 days;
    /// @inheritdoc IComputeMarket
    uint32 public constant MIN_CLAIM_WINDOW = 5 minutes;
    /// @inheritdoc IComputeMarket
    uint32 public constant MAX_CLAIM_WINDOW = 30 days;
    /// @dev Longest order that an offer can allow, in seconds: what a job's state has room for.
    uint32 internal constant MAX_DURATION = type(uint24).max;

    mapping(address account => Provider) private _providers;
    mapping(address account => mapping(address token => uint256)) private _floors;
    mapping(OfferId => StoredOffer) internal _offers;
    OfferId[] private _offerIds;

    /// @inheritdoc IComputeMarket
    function setProvider(address operator, address payout) external {
        require(payout != address(0), ZeroPayout());
        _providers[msg.sender] = Provider(operator, payout);
        emit ProviderSet(msg.sender, operator, payout);
    }

    /// @inheritdoc IComputeMarket
    function setFloor(address token, uint256 price) external {
        _floors[msg.sender][token] = price;
        emit FloorSet(msg.sender, token, price);
    }

    /// @inheritdoc IComputeMarket
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
        if (stored.provider == address(0)) {
            _post(offerId, stored, terms);
        } else {
            require(_sameTerms(stored, terms), TermsMismatch(offerId));
        }
        uint64 until = _setPrice(stored, price, available, validUntil);
        emit OfferSet(offerId, terms.provider, terms, price, available, until, card);
    }

    /// @inheritdoc IComputeMarket
    function updateOffer(OfferId offerId, uint128 price, uint16 available, uint64 validUntil) external {
        StoredOffer storage stored = _offers[offerId];
        require(stored.provider != address(0), UnknownOffer(offerId));
        _requireOperator(stored.provider);
        uint64 until = _setPrice(stored, price, available, validUntil);
        emit OfferUpdated(offerId, price, available, until);
    }

    /// @inheritdoc IComputeMarket
    function provider(address account) public view returns (Provider memory) {
        return _providers[account];
    }

    /// @inheritdoc IComputeMarket
    function floor(address account, address token) external view returns (uint256) {
        return _floors[account][token];
    }

    /// @inheritdoc IComputeMarket
    function offerCount() external view returns (uint256) {
        return _offerIds.length;
    }

    /// @inheritdoc IComputeMarket
    function offers(uint256 from, uint256 count) external view returns (Offer[] memory page) {
        uint256 total = _offerIds.length;
        uint256 start = Math.min(from, total);
        page = new Offer[](Math.min(count, total - start));
        for (uint256 i = 0; i < page.length; ++i) {
            page[i] = offer(_offerIds[start + i]);
        }
    }

    /// @inheritdoc IComputeMarket
    function offer(OfferId offerId) public view returns (Offer memory) {
        StoredOffer storage stored = _offers[offerId];
        require(stored.provider != address(0), UnknownOffer(offerId));
        return Offer({
            id: offerId,
            terms: _terms(stored),
            price: stored.price,
            available: _takesOrders(stored) ? stored.available : 0,
            validUntil: stored.validUntil,
            settledGpuSeconds: stored.settledGpuSeconds,
            settledAmount: stored.settledAmount
        });
    }

    /// @inheritdoc IComputeMarket
    function offerIdOf(OfferTerms calldata terms) external pure returns (OfferId) {
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

    /// @dev Whether the floor of an offer's provider lets it take orders: it may have been raised after the price was set.
    function _takesOrders(StoredOffer storage stored) private view returns (bool) {
        uint256 lowest = _floors[stored.provider][stored.token];
        return lowest != 0 && stored.price >= lowest;
    }

    /// @dev Reverts where a provider takes no orders in a token at a price.
    function _requireAbove(address account, address token, uint256 price) internal view {
        uint256 lowest = _floors[account][token];
        require(lowest != 0, TokenRefused(account, token));
        require(price >= lowest, PriceBelowFloor(price, lowest));
    }

    /// @dev Counts what a claim paid; returns the amount before and after. It stops at its limit rather than stopping
    /// claims: 2^20 jobs at the highest price for the longest time, which only a worthless token can have.
    function _countSettled(StoredOffer storage stored, uint256 gpuSeconds, uint256 amount)
        internal
        returns (uint256 before, uint256 settled)
    {
        before = stored.settledAmount;
        settled = Math.min(before + amount, type(uint128).max);
        stored.settledGpuSeconds += uint88(gpuSeconds);
        stored.settledAmount = uint128(settled);
    }

    function _post(OfferId offerId, StoredOffer storage stored, OfferTerms calldata terms) private {
        require(terms.startWindow <= MAX_START_WINDOW, WindowTooLong(terms.startWindow, MAX_START_WINDOW));
        require(terms.claimWindow >= MIN_CLAIM_WINDOW, WindowTooShort(terms.claimWindow, MIN_CLAIM_WINDOW));
        require(terms.claimWindow <= MAX_CLAIM_WINDOW, WindowTooLong(terms.claimWindow, MAX_CLAIM_WINDOW));
        require(
            terms.maxDuration != 0 && terms.minDuration <= terms.maxDuration && terms.maxDuration <= MAX_DURATION,
            InvalidDurations(terms.minDuration, terms.maxDuration, MAX_DURATION)
        );
        stored.provider = terms.provider;
        stored.startWindow = uint24(terms.startWindow);
        stored.claimWindow = uint24(terms.claimWindow);
        stored.minDuration = uint24(terms.minDuration);
        stored.maxDuration = uint24(terms.maxDuration);
        stored.token = terms.token;
        stored.gpuClass = terms.gpuClass;
        stored.salt = terms.salt;
        _offerIds.push(offerId);
    }

    function _setPrice(StoredOffer storage stored, uint128 price, uint16 available, uint64 validUntil)
        private
        returns (uint64 until)
    {
        require(price <= type(uint80).max, PriceTooHigh(price, type(uint80).max));
        _requireAbove(stored.provider, stored.token, price);
        until = uint64(Math.min(validUntil, type(uint40).max));
        stored.price = uint80(price);
        stored.available = available;
        stored.validUntil = uint40(until);
    }

    /// @dev Compares hashes of all 256 bits: two terms with one id can be ground, these can't.
    function _sameTerms(StoredOffer storage stored, OfferTerms calldata terms) private view returns (bool) {
        return keccak256(abi.encode(_terms(stored))) == keccak256(abi.encode(terms));
    }

    function _terms(StoredOffer storage stored) private view returns (OfferTerms memory) {
        return OfferTerms({
            provider: stored.provider,
            token: stored.token,
            gpuClass: stored.gpuClass,
            startWindow: stored.startWindow,
            claimWindow: stored.claimWindow,
            minDuration: stored.minDuration,
            maxDuration: stored.maxDuration,
            salt: stored.salt
        });
    }
}
