// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {JobStatus} from "../types/Job.sol";
import {JobId} from "../types/JobId.sol";
import {OfferId} from "../types/OfferId.sol";

/// @title Why the market refuses a call
/// @notice Each carries what was asked and what the limit is. Besides these, calls fail with the errors of the token, and
/// with OpenZeppelin's: `OwnableUnauthorizedAccount`, `ReentrancyGuardReentrantCall`, `SafeERC20FailedOperation`, and
/// `FailedCall` where something that was called failed without a word, or there is no such function; `openJobByPermit2` also with
/// those of Permit2.
interface IComputeMarketErrors {
    /// @notice The caller is neither the provider nor its operator.
    error NotOperator(address caller, address provider);
    /// @notice The caller is neither the customer of this job nor the delegate who ordered it, or what should prove that
    /// is of another order.
    error NotCustomer(JobId id, address caller);
    /// @notice The provider has not called `setProvider`.
    error UnknownProvider(address provider);
    /// @notice Earnings must go somewhere: the payout address is zero.
    error ZeroPayout();
    /// @notice An offer of this id exists with other terms; choose another salt.
    error TermsMismatch(OfferId offerId);
    /// @notice The longest duration is 0, below the shortest one, or above the limit.
    error InvalidDurations(uint256 minDuration, uint256 maxDuration, uint256 limit);
    /// @notice A start or claim window is longer than the market allows.
    error WindowTooLong(uint256 window, uint256 limit);
    /// @notice A claim window is shorter than the market allows.
    error WindowTooShort(uint256 window, uint256 limit);
    /// @notice The provider takes no orders of this GPU class in this token: its floor is 0.
    error TokenRefused(address provider, address token);
    /// @notice The price is below the provider's floor.
    error PriceBelowFloor(uint256 price, uint256 floor);
    /// @notice The price needs more than 80 bits.
    error PriceTooHigh(uint256 price, uint256 limit);
    /// @notice No such offer.
    error UnknownOffer(OfferId offerId);
    /// @notice The offer takes no orders after `validUntil`.
    error OfferExpired(OfferId offerId, uint256 validUntil);
    /// @notice The order asks for no GPU, or for more than the offer has.
    error GpusUnavailable(uint256 asked, uint256 available);
    /// @notice The offer's price has risen above what the customer accepts.
    error PriceAboveMax(uint256 price, uint256 maxPrice);
    /// @notice The duration lies outside the offer's range.
    error DurationOutOfRange(uint256 duration, uint256 minDuration, uint256 maxDuration);
    /// @notice A spec, a card or a reason is longer than the market logs.
    error TextTooLong(uint256 length, uint256 limit);
    /// @notice The same order was placed already; choose another salt.
    error JobExists(JobId id);
    /// @notice The job is not in a state in which this can be done.
    error WrongStatus(JobId id, JobStatus status);
    /// @notice The order was not started by its deadline and can't be any more, so it takes no more money: refund it.
    error StartDeadlinePassed(JobId id, uint256 startDeadline);
    /// @notice A top-up adds at least a second.
    error ZeroExtra(JobId id);
    /// @notice An end was announced; the job can't be prolonged.
    error EndAnnounced(JobId id, uint256 end);
    /// @notice The job ends at `end` anyway, which is not later than what was asked for.
    error EndNotEarlier(JobId id, uint256 asked, uint256 end);
    /// @notice Two arrays that belong together differ in length.
    error LengthMismatch(uint256 left, uint256 right);
    /// @notice The token did not move what it was asked to move (fee on transfer, rebasing).
    error TransferMismatch(address token, uint256 expected, uint256 received);
    /// @notice There is no credit to withdraw and no fee to send, or the market has nothing left of the token.
    error NothingToWithdraw(address account, address token);
    /// @notice A provider's credit can be withdrawn to its payout address only.
    error PayoutOnly(address provider, address payout, address asked);
    /// @notice The fee is above the cap.
    error FeeTooHigh(uint256 bps, uint256 limit);
    /// @notice A fee needs someone to receive it.
    error ZeroFeeSink();
    /// @notice The market itself can't be owed anything: nobody could have it sent.
    error AccountIsTheMarket();
    /// @notice No order is taken any more, and that stands.
    error SunsetPassed(uint256 sunset);
    /// @notice Offers that are posted now could outlive it.
    error SunsetTooSoon(uint256 asked, uint256 earliest);
    /// @notice A second that far away can't be kept.
    error SunsetTooLate(uint256 asked, uint256 limit);
    /// @notice Nobody is the zero address: whatever is credited to it is lost.
    error ZeroAccount();
    /// @notice More is deposited at once than the market takes.
    error AmountTooHigh(uint256 amount, uint256 limit);
    /// @notice So little gas is left that the offer's verifier might answer no for want of it: send the call with more.
    error TooLittleGas(uint256 left, uint256 needed);
    /// @notice The order's deadline has passed.
    error OrderExpired(uint256 deadline);
    /// @notice The order doesn't allow that its spec is left out: send the text that has this hash along.
    error SpecMissing(bytes32 specHash);
    /// @notice The text is not the one whose hash was ordered.
    error SpecMismatch(bytes32 specHash, bytes32 hashOfText);
    /// @notice The customer did not sign this order, or not for this market and chain.
    error BadOrderSignature(address customer, bytes32 digest);
    /// @notice A signed order with this salt was placed or cancelled already.
    error SaltUsed(address customer, uint256 salt);
    /// @notice The account's credit doesn't cover it.
    error CreditTooLow(address account, address token, uint256 credit, uint256 asked);
    /// @notice The delegation is another account's.
    error NotPrincipal(uint32 delegation, address account);
    /// @notice The caller is not this delegation's delegate, or it has ended.
    error NotDelegate(uint32 delegation, address caller);
    /// @notice The delegation is for another token.
    error OtherToken(uint32 delegation, address token, address asked);
    /// @notice With this, more would be spent today than the delegation allows.
    error LimitExceeded(uint32 delegation, uint256 spent, uint256 limit);
    /// @notice A delegation's number has 31 bits.
    error DelegationTooHigh(uint32 delegation, uint256 limit);
    /// @notice There is no number left for a delegation.
    error TooManyDelegations(uint256 limit);
}
