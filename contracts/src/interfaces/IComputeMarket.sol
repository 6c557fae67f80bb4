// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Job} from "../types/Job.sol";
import {JobId} from "../types/JobId.sol";
import {Offer, OfferTerms} from "../types/Offer.sol";
import {OfferId} from "../types/OfferId.sol";
import {Provider} from "../types/Provider.sol";
import {Voucher} from "../types/Voucher.sol";
import {IComputeMarketErrors} from "./IComputeMarketErrors.sol";
import {IComputeMarketEvents} from "./IComputeMarketEvents.sol";

/// @title Market for GPU time: posted offers, a deposit per job, payment by attested use
/// @notice A provider posts offers. A customer orders against one and deposits the whole price. What the attestor
/// signs for is claimed for the provider; the rest goes back to the customer. Nobody else can move a deposit, and each
/// state has a way out by time alone.
/// @dev Functions that take a batch skip an item that can't be done, with `JobSkipped`, and return how many were done.
/// Amounts are units of the offer's token, prices are token units per GPU-hour, times are Unix seconds, use is in
/// GPU-seconds. "Operator" means the provider's hot key or the provider itself.
/// Needs a chain with transient storage and `MCOPY` (Cancun). Elsewhere whatever moves tokens fails, so a market must not be
/// deployed there.
/// There is no way to close a market: to leave one, pause its offers (`available` 0; one below its floor at a price that is not,
/// and in a token that is refused each lapses at `validUntil`), let its jobs end, claim, refund and withdraw. Deposits and credits stay reachable for ever.
interface IComputeMarket is IComputeMarketEvents, IComputeMarketErrors {
    // ----------------------------------------------------------------------------------------------------- provider

    /// @notice Sets the caller's operator (hot key) and payout address. Works at once, on running jobs too.
    /// @dev Anybody for itself. From then on, the caller's whole credit can be *withdrawn* to `payout` only. The caller itself
    /// can still spend it on orders, with any provider: whoever has the cold key isn't bound to `payout`. Errors:
    /// `ZeroPayout`. Event: `ProviderSet`.
    /// @param operator Hot key; zero revokes it.
    /// @param payout Where the earnings go; never zero.
    function setProvider(address operator, address payout) external;

    /// @notice Sets the lowest price of the caller's offers in a token, for new orders at once. There is one floor per token,
    /// for all GPU classes: it protects the dearest GPUs only as far as the cheapest ones allow, unless they are sold by
    /// another provider address or in another token.
    /// @dev Anybody for itself: an operator can't set it. It doesn't touch orders that were placed, nor their top-ups. An
    /// offer below a raised floor takes no orders; `offers` and `offer` show 0 available until it is posted at the floor or
    /// above, or the floor falls again while the offer is valid. No event names the offers that this concerns.
    /// Event: `FloorSet`.
    /// @param token ERC-20 token.
    /// @param price Token units per GPU-hour; 0 refuses the token.
    function setFloor(address token, uint256 price) external;

    /// @notice Posts an offer, or posts it again with another price, availability, validity or card.
    /// @dev By the operator. Errors: `TextTooLong`, `UnknownProvider`, `NotOperator`, `WindowTooLong`, `WindowTooShort`,
    /// `InvalidDurations`, `TermsMismatch`, `PriceTooHigh`, `TokenRefused`, `PriceBelowFloor`. Event: `OfferSet`. Nothing is
    /// ever taken from the list of offers, and any address can become a provider and add to it: read it page by page, or the
    /// `OfferSet` logs of the providers that concern you.
    /// @param terms What never changes.
    /// @param price Token units per GPU-hour, at least the provider's floor, at most 2^80 - 1.
    /// @param available Most GPUs that one order may ask for; 0 pauses the offer. A statement, no ledger.
    /// @param validUntil Last second at which an order is taken; the market keeps at most 2^40 - 1.
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
    /// @param available Most GPUs that one order may ask for; 0 pauses the offer.
    /// @param validUntil Last second at which an order is taken; the market keeps at most 2^40 - 1.
    function updateOffer(OfferId offerId, uint128 price, uint16 available, uint64 validUntil) external;

    /// @notice Turns orders down that were not started; their deposits are credited back in full.
    /// @dev By the operator; skips with `NotOperator`, `NotLive`, `AlreadyStarted`. Errors: `TextTooLong`. Event:
    /// `JobDeclined` for each.
    /// @param ids Jobs.
    /// @param reason Said to the customers, in the log of each: at most `MAX_REASON` bytes.
    /// @return done How many were declined.
    function declineJobs(JobId[] calldata ids, string calldata reason) external returns (uint256 done);

    /// @notice Starts jobs, or gives running ones another attestor.
    /// @dev By the operator; skips with `NotOperator`, `NotLive`, `ZeroAttestor`, `DeadlinePassed`, `AlreadyEnded`. Errors:
    /// `LengthMismatch`. Events: `JobStarted` or `AttestorRotated` for each. A rotation keeps start and count, and makes the
    /// earlier attestor's vouchers worthless: an operator that rotates claims the last of them first, in one `multicall`
    /// with the rotation where it must not be lost. The new attestor goes on from the earlier one's count. A job whose end has
    /// passed takes no other attestor, also while its use can still be claimed: whoever stood last signs for all of it.
    /// @param ids Jobs; those of one offer side by side cost least.
    /// @param attestors Whose signature counts, one per job.
    /// @return done How many were started or rotated.
    function startJobs(JobId[] calldata ids, address[] calldata attestors) external returns (uint256 done);

    /// @notice Ends started jobs, at once or with notice.
    /// @dev By the operator; skips with `NotOperator`, `NotLive`, `NotStarted`, `UnclaimedUse`, `EndPassed`, `EndNotEarlier`.
    /// Errors: `LengthMismatch`, `TextTooLong`. Events: `JobEnded` or `JobEndAnnounced` for each.
    /// @param ids Jobs.
    /// @param endAt 0 ends at once and for good: what was not claimed goes back to the customer and nothing can be claimed
    /// any more. Otherwise a second in the future: time after it is credited back now, claims go on. A notice that is mined in
    /// its second or later ends nothing.
    /// @param expectUsed GPU-seconds that must have been claimed, one per job; a job with less is skipped, so that no
    /// claim is lost.
    /// @param reason Said to the customers, in the log of each: at most `MAX_REASON` bytes.
    /// @return done How many were ended.
    function endJobs(JobId[] calldata ids, uint64 endAt, uint64[] calldata expectUsed, string calldata reason)
        external
        returns (uint256 done);

    /// @notice Sends a provider's whole credit in a token to its payout address, as far as the market has so much of it.
    /// @dev By the operator. Errors: `UnknownProvider`, `NotOperator`, `NothingToWithdraw`, `TransferMismatch`. Event:
    /// `Withdrawn`.
    /// @param account The provider.
    /// @param token ERC-20 token.
    /// @return amount Token units sent.
    function withdrawFor(address account, address token) external returns (uint256 amount);

    // ----------------------------------------------------------------------------------------------------- customer

    /// @notice Orders GPU time. The deposit, `ceil(price * gpus * duration / 3600)`, is taken from the caller's credit
    /// first, then from its allowance.
    /// @dev By anybody, for itself: a deposit comes back as credit of the caller, which only the caller can withdraw or spend.
    /// A contract that orders must be able to call `withdraw`, or what comes back stays in the market for ever. Where a token
    /// stands still (paused, or the market is blocked by it), orders that credit covers go on, and can't be paid out until
    /// it moves again. Between the price and `maxPrice` the provider chooses: it can see the order coming and raise its price
    /// up to there. Errors: `UnknownOffer`, `OfferExpired`, `GpusUnavailable`, `PriceAboveMax`, `DurationOutOfRange`,
    /// `TokenRefused`, `PriceBelowFloor`, `TextTooLong`, `JobExists`, `TransferMismatch`. Event: `JobOpened`.
    /// @param offerId Offer.
    /// @param gpus Number of GPUs.
    /// @param duration Seconds.
    /// @param maxPrice Highest price that the caller accepts, token units per GPU-hour.
    /// @param salt Tells apart orders that are otherwise the same.
    /// @param spec Public description of the workload, at most `MAX_TEXT` bytes; it lives in the log only.
    /// @return id Name of the job. It names neither chain nor market: the same order on another market has the same id.
    function openJob(OfferId offerId, uint16 gpus, uint32 duration, uint128 maxPrice, bytes32 salt, bytes calldata spec)
        external
        returns (JobId id);

    /// @notice Pays for more time at the locked price, up to the offer's longest duration.
    /// @dev By the customer, while the job is running, or is open and can still be started, and no end was announced. Errors:
    /// `NotCustomer`, `WrongStatus`, `StartDeadlinePassed`, `EndAnnounced`, `DurationOutOfRange`, `TransferMismatch`. Event:
    /// `JobToppedUp`.
    /// @param id Job.
    /// @param extra Seconds to add.
    function topUp(JobId id, uint32 extra) external;

    /// @notice Moves the end of a running job forward to `END_NOTICE` seconds from now, but not before its shortest
    /// duration. The tail is credited at once; use until the end can still be claimed.
    /// @dev By the customer. Errors: `NotCustomer`, `WrongStatus`, `EndNotEarlier`. Event: `JobEndAnnounced`.
    /// @param id Job.
    /// @return end Second at which the job ends now.
    function endJob(JobId id) external returns (uint64 end);

    /// @notice Gives this market an allowance over the caller's tokens by signature (ERC-2612), to be used in one
    /// `multicall` with `openJob` or `topUp`. A failure is ignored: the allowance may be there already, because
    /// somebody else sent the same signature first. So is an address without code.
    /// @dev By anybody; only the caller's own signature serves: the tokens and the order are one account's, and it sends the
    /// transaction itself.
    /// @param token ERC-20 token with permit.
    /// @param value Token units of the allowance.
    /// @param deadline Last second at which the signature counts.
    /// @param v Of the signature.
    /// @param r Of the signature.
    /// @param s Of the signature.
    function permit(address token, uint256 value, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external;

    // ------------------------------------------------------------------------------------------------------- anyone

    /// @notice Pays attested use of jobs of one offer: `floor(price * used / 3600)` in all, less what was paid before. Use
    /// is cumulative and is cut to `gpus * (min(now, end) - started)`; a voucher that was cut can be claimed again later
    /// for the rest. A claim never closes a job.
    /// @dev By anybody: it pays the provider and the fee sink only. It moves no tokens, so it goes on where a token stands
    /// still. A chain that takes no transactions for longer than the claim window loses what was not claimed. Skips with `WrongOffer`, `NotLive`, `NotStarted`,
    /// `ClaimWindowPassed`, `Stale`, `BadSignature`. Errors: `UnknownOffer`. Event: one `UsageClaimed`, where anything was
    /// paid.
    /// @param offerId Offer of all of the jobs.
    /// @param vouchers Vouchers.
    /// @return done How many vouchers were paid.
    function claim(OfferId offerId, Voucher[] calldata vouchers) external returns (uint256 done);

    /// @notice Closes jobs that were not started by the deadline, or whose claim window has ended; what is left is
    /// credited to the customers.
    /// @dev By anybody; skips with `NotLive`, `TooEarly`. Event: `JobRefunded` for each.
    /// @param ids Jobs.
    /// @return done How many were closed.
    function refund(JobId[] calldata ids) external returns (uint256 done);

    /// @notice Sends the caller's whole credit in a token. A provider's goes to its payout address only. Where the token has
    /// shrunk the market's balance, what is there is sent and the rest stays credit: who comes last bears the loss.
    /// @dev By anybody, for itself: nobody else can withdraw an account's credit, but `withdrawFor` a provider's. Errors: `PayoutOnly`, `NothingToWithdraw`, `TransferMismatch`. Event: `Withdrawn`.
    /// @param token ERC-20 token.
    /// @param to Who receives it.
    /// @return amount Token units sent.
    function withdraw(address token, address to) external returns (uint256 amount);

    // -------------------------------------------------------------------------------------------------------- owner

    /// @notice Sets the fee on what is claimed, and who receives it. A fee that is not higher than the one that holds, and
    /// the receiver, hold at once. A higher fee holds `FEE_NOTICE` seconds later, when no order that was placed before can
    /// be claimed any more; setting it again, or to less, keeps that date.
    /// @dev By the owner, who can do nothing else but pass on or give up its role. Errors: `FeeTooHigh`, `ZeroFeeSink`.
    /// Events: `FeeSet`, and `FeeRaiseAnnounced` where the fee is higher.
    /// @param bps Hundredths of a percent, at most `MAX_FEE_BPS`.
    /// @param sink Who is credited. Only the sink itself can withdraw its credit, so it must be able to call `withdraw`: a fee
    /// that is credited to an address without a key, or to the market itself, lies in the market for ever. It is out of
    /// circulation then, and not burnt: the token's supply doesn't change.
    function setFee(uint16 bps, address sink) external;

    // -------------------------------------------------------------------------------------------------------- views

    /// @notice Keys of a provider; zero addresses where there is none.
    function provider(address account) external view returns (Provider memory);

    /// @notice Lowest price of a provider's offers in a token, token units per GPU-hour; 0 where the token is refused.
    function floor(address account, address token) external view returns (uint256);

    /// @notice Token units that an account can withdraw or spend on orders.
    function credit(address account, address token) external view returns (uint256);

    /// @notice The fee that holds now, in hundredths of a percent, and who receives it.
    function fee() external view returns (uint16 bps, address sink);

    /// @notice The fee that was set last, in hundredths of a percent, and the second from which it holds, which has passed
    /// where no raise is announced.
    function announcedFee() external view returns (uint16 bps, uint64 from);

    /// @notice Number of offers ever posted. It only grows, and anybody can make it grow.
    function offerCount() external view returns (uint256);

    /// @notice At most `count` offers in the order in which they were first posted, starting with number `from`.
    function offers(uint256 from, uint256 count) external view returns (Offer[] memory);

    /// @notice An offer; reverts with `UnknownOffer` where there is none.
    function offer(OfferId offerId) external view returns (Offer memory);

    /// @notice A job; `status` is `None` where there is none.
    function job(JobId id) external view returns (Job memory);

    /// @notice Id of the offer with these terms, posted or not.
    function offerIdOf(OfferTerms calldata terms) external pure returns (OfferId);

    /// @notice Id that an order would get at this price. Errors: `PriceTooHigh`.
    /// @param offerId Offer.
    /// @param price Token units per GPU-hour, at most 2^80 - 1.
    /// @param gpus Number of GPUs.
    /// @param customer Who orders.
    /// @param duration Seconds ordered.
    /// @param salt Salt of the order.
    /// @param specHash keccak256 of the spec.
    function jobIdOf(
        OfferId offerId,
        uint128 price,
        uint16 gpus,
        address customer,
        uint32 duration,
        bytes32 salt,
        bytes32 specHash
    ) external pure returns (JobId);

    /// @notice EIP-712 digest that an attestor signs.
    /// @param id Job.
    /// @param gpuSeconds GPU-seconds since the start of the job.
    /// @param evidenceRoot Head of the hash chain over the evidence.
    function voucherDigest(JobId id, uint256 gpuSeconds, bytes32 evidenceRoot) external view returns (bytes32);

    /// @notice Longest spec and longest card, in bytes.
    function MAX_TEXT() external pure returns (uint256);

    /// @notice Longest reason of `declineJobs` and `endJobs`, in bytes.
    function MAX_REASON() external pure returns (uint256);

    /// @notice Highest fee, in hundredths of a percent.
    function MAX_FEE_BPS() external pure returns (uint16);

    /// @notice Seconds from the announcement of a higher fee until it holds: longest start window, longest job and longest
    /// claim window together, and one.
    function FEE_NOTICE() external pure returns (uint32);

    /// @notice Longest start window, in seconds. There is no shortest one: where orders are acted on only once their block is
    /// final, a window that is shorter than finality takes (768 s and more on Ethereum) sells nothing.
    function MAX_START_WINDOW() external pure returns (uint32);

    /// @notice Shortest claim window, in seconds: time for a claim to be sent again with a higher gas price. It doesn't cover a
    /// chain that stands still for an hour: a provider chooses hours.
    function MIN_CLAIM_WINDOW() external pure returns (uint32);

    /// @notice Longest claim window, in seconds.
    function MAX_CLAIM_WINDOW() external pure returns (uint32);

    /// @notice Seconds between a customer's `endJob` and the end at the earliest.
    function END_NOTICE() external pure returns (uint32);
}
