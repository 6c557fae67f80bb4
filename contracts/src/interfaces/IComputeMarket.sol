// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Job, JobStatus, SkipReason} from "../types/Job.sol";
import {JobId} from "../types/JobId.sol";
import {Offer, OfferTerms} from "../types/Offer.sol";
import {OfferId} from "../types/OfferId.sol";
import {Provider} from "../types/Provider.sol";
import {Settlement, Voucher} from "../types/Voucher.sol";

/// @title Market for GPU time: posted offers, a deposit per job, payment by attested use
/// @notice A provider posts offers. A customer orders against one and deposits the whole price. What the attestor
/// signs for is claimed for the provider; the rest goes back to the customer. Nobody else can move a deposit, and each
/// state has a way out by time alone.
/// @dev Functions that take a batch skip an item that can't be done, with `JobSkipped`, and return how many were done.
/// Amounts are units of the offer's token, times are Unix seconds, use is in GPU-seconds.
interface IComputeMarket {
    // ------------------------------------------------------------------------------------------------------- events

    /// @notice A provider set its keys.
    event ProviderSet(address indexed provider, address indexed operator, address payout);

    /// @notice A provider set the lowest price that its offers may have in a token; 0 means that the token is refused.
    event FloorSet(address indexed provider, address indexed token, uint256 floor);

    /// @notice An offer was posted, or posted again with another price, availability, validity or card.
    /// @param card Free text of the provider about the offer (JSON: region, driver, links ...). Never trust it.
    event OfferSet(
        OfferId indexed offerId,
        address indexed provider,
        OfferTerms terms,
        uint128 price,
        uint16 available,
        uint64 validUntil,
        string card
    );

    /// @notice Price, availability or validity of an offer changed; its card did not.
    event OfferUpdated(OfferId indexed offerId, uint128 price, uint16 available, uint64 validUntil);

    /// @notice An order was placed and its deposit taken.
    /// @param duration Seconds ordered.
    /// @param startDeadline Last second at which it can be started.
    /// @param deposit Token units that the market holds for it.
    /// @param salt Customer's salt, part of the order's hash.
    /// @param spec Public description of the workload, as the customer wrote it. Never trust it.
    event JobOpened(
        JobId indexed id,
        OfferId indexed offerId,
        address indexed customer,
        uint32 duration,
        uint64 startDeadline,
        uint256 deposit,
        bytes32 salt,
        bytes spec
    );

    /// @notice The provider turned an order down; the whole deposit was credited to the customer.
    event JobDeclined(JobId indexed id, address indexed customer, uint256 refunded, string reason);

    /// @notice A job was started: its time counts from now.
    event JobStarted(JobId indexed id, address attestor, uint64 started);

    /// @notice A running job got another attestor. Vouchers of the earlier one count no more.
    event AttestorRotated(JobId indexed id, address attestor);

    /// @notice A customer paid for more time.
    /// @param duration Seconds paid for now, in all.
    /// @param deposit Token units for all of it.
    event JobToppedUp(JobId indexed id, OfferId indexed offerId, uint32 duration, uint256 deposit);

    /// @notice A job's end was moved forward; the price of the time after it was credited to the customer.
    /// @param by The customer, or the provider's operator.
    /// @param end Second at which the job ends now.
    /// @param released Token units credited to the customer.
    event JobEndAnnounced(
        JobId indexed id, OfferId indexed offerId, address by, uint64 end, uint256 released, string reason
    );

    /// @notice The provider ended a job for good; what was not claimed was credited to the customer.
    event JobEnded(JobId indexed id, address indexed customer, uint256 used, uint256 refunded, string reason);

    /// @notice A job that was never started, or not claimed in full, was closed by time; the rest was credited.
    event JobRefunded(JobId indexed id, address indexed customer, uint256 refunded);

    /// @notice Attested use was paid. One log per `claim`, none where nothing was paid.
    /// @param settlements Each job that was paid, in the order of the vouchers.
    /// @param gpuSeconds GPU-seconds paid by this claim.
    /// @param paid Token units that left the jobs' deposits in this claim; `paid - fee` went to the provider.
    /// @param fee Token units of it credited to the fee sink.
    event UsageClaimed(
        OfferId indexed offerId,
        address indexed provider,
        Settlement[] settlements,
        uint256 gpuSeconds,
        uint256 paid,
        uint256 fee
    );

    /// @notice An item of a batch was left out.
    event JobSkipped(JobId indexed id, SkipReason reason);

    /// @notice Credit left the market.
    event Withdrawn(address indexed account, address indexed token, address indexed to, uint256 amount);

    /// @notice The owner set the fee and who receives it.
    event FeeSet(uint16 bps, address indexed sink);

    // ------------------------------------------------------------------------------------------------------- errors

    /// @notice The caller is neither the provider nor its operator.
    error NotOperator(address caller, address provider);
    /// @notice The caller did not order this job.
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
    /// @notice The provider takes no orders in this token: its floor is 0.
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
    /// @notice A spec or card is longer than the market logs.
    error TextTooLong(uint256 length, uint256 limit);
    /// @notice The same order was placed already; choose another salt.
    error JobExists(JobId id);
    /// @notice The job is not in a state in which this can be done.
    error WrongStatus(JobId id, JobStatus status);
    /// @notice An end was announced; the job can't be prolonged.
    error EndAnnounced(JobId id, uint256 end);
    /// @notice The job ends at `end` anyway, which is not later than what was asked for.
    error EndNotEarlier(JobId id, uint256 asked, uint256 end);
    /// @notice A notice must lie in the future; 0 ends at once.
    error EndInPast(uint256 asked, uint256 timestamp);
    /// @notice Two arrays that belong together differ in length.
    error LengthMismatch(uint256 left, uint256 right);
    /// @notice The token did not move what it was asked to move (fee on transfer, rebasing).
    error TransferMismatch(address token, uint256 expected, uint256 received);
    /// @notice There is no credit to withdraw.
    error NothingToWithdraw(address account, address token);
    /// @notice A provider's earnings go to its payout address only.
    error PayoutOnly(address provider, address payout, address asked);
    /// @notice The fee is above the cap.
    error FeeTooHigh(uint256 bps, uint256 limit);
    /// @notice A fee needs someone to receive it.
    error ZeroFeeSink();

    // ----------------------------------------------------------------------------------------------------- provider

    /// @notice Sets the caller's operator (hot key) and payout address. Works at once, on running jobs too.
    /// @param operator Hot key; zero revokes it.
    /// @param payout Where the earnings go; never zero.
    function setProvider(address operator, address payout) external;

    /// @notice Sets the lowest price of the caller's offers in a token, for new orders at once.
    /// @param token ERC-20 token.
    /// @param price Token units per GPU-hour; 0 refuses the token.
    function setFloor(address token, uint256 price) external;

    /// @notice Posts an offer, or posts it again. By the provider or its operator.
    /// @param terms What never changes.
    /// @param price Token units per GPU-hour, at least the provider's floor, at most 2^80 - 1.
    /// @param available Most GPUs that one order may ask for; 0 pauses the offer.
    /// @param validUntil Last second at which an order is taken.
    /// @param card Free text about the offer, at most `MAX_TEXT` bytes; it lives in the log only.
    /// @return offerId Name of the offer.
    function setOffer(
        OfferTerms calldata terms,
        uint128 price,
        uint16 available,
        uint64 validUntil,
        string calldata card
    ) external returns (OfferId offerId);

    /// @notice Changes what may change of an offer. By the provider or its operator.
    function updateOffer(OfferId offerId, uint128 price, uint16 available, uint64 validUntil) external;

    /// @notice Turns orders down that were not started; their deposits go back in full. By the operator.
    /// @param reason Said to the customers, in the log of each.
    /// @return done How many were declined.
    function declineJobs(JobId[] calldata ids, string calldata reason) external returns (uint256 done);

    /// @notice Starts jobs, or gives running ones another attestor. By the operator.
    /// @param ids Jobs; those of one offer side by side cost least.
    /// @param attestors Whose signature counts, one per job.
    /// @return done How many were started or rotated.
    function startJobs(JobId[] calldata ids, address[] calldata attestors) external returns (uint256 done);

    /// @notice Ends started jobs. By the operator.
    /// @param ids Jobs.
    /// @param endAt 0 ends at once and for good: what was not claimed goes back to the customer and nothing can be claimed
    /// any more. Otherwise a second in the future: time after it goes back now, claims go on.
    /// @param expectUsed GPU-seconds that must have been claimed, one per job; a job with less is skipped, so that no
    /// claim is lost.
    /// @param reason Said to the customers, in the log of each.
    /// @return done How many were ended.
    function endJobs(JobId[] calldata ids, uint64 endAt, uint64[] calldata expectUsed, string calldata reason)
        external
        returns (uint256 done);

    /// @notice Sends a provider's whole credit in a token to its payout address. By the provider or its operator.
    function withdrawFor(address account, address token) external returns (uint256 amount);

    // ----------------------------------------------------------------------------------------------------- customer

    /// @notice Orders GPU time. The deposit is taken from the caller's credit first, then from its allowance.
    /// @param offerId Offer.
    /// @param gpus Number of GPUs.
    /// @param duration Seconds.
    /// @param maxPrice Highest price that the caller accepts, token units per GPU-hour.
    /// @param salt Tells apart orders that are otherwise the same.
    /// @param spec Public description of the workload, at most `MAX_TEXT` bytes; it lives in the log only.
    /// @return id Name of the job.
    function openJob(OfferId offerId, uint16 gpus, uint32 duration, uint128 maxPrice, bytes32 salt, bytes calldata spec)
        external
        returns (JobId id);

    /// @notice Pays for more time at the locked price, up to the offer's longest duration. By the customer, while the
    /// job is open or running and no end was announced.
    /// @param extra Seconds to add.
    function topUp(JobId id, uint32 extra) external;

    /// @notice Moves the end of a running job forward to 60 seconds from now, but not before its shortest duration.
    /// The tail is credited at once; use until the end can still be claimed. By the customer.
    /// @return end Second at which the job ends now.
    function endJob(JobId id) external returns (uint64 end);

    /// @notice Gives this market an allowance over the caller's tokens by signature (ERC-2612), to be used in one
    /// `multicall` with `openJob` or `topUp`. A failure is ignored: the allowance may be there already, because
    /// somebody else sent the same signature first.
    function permit(address token, uint256 value, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external;

    // ------------------------------------------------------------------------------------------------------- anyone

    /// @notice Pays attested use of jobs of one offer. Use is cumulative and is cut to `gpus * (min(now, end) -
    /// started)`; a voucher that was cut can be claimed again later for the rest.
    /// @return done How many vouchers were paid.
    function claim(OfferId offerId, Voucher[] calldata vouchers) external returns (uint256 done);

    /// @notice Closes jobs that were not started by the deadline, or whose claim window has ended; what is left goes
    /// back to the customers.
    /// @return done How many were closed.
    function refund(JobId[] calldata ids) external returns (uint256 done);

    /// @notice Sends the caller's whole credit in a token. A provider's goes to its payout address only.
    /// @return amount Token units sent.
    function withdraw(address token, address to) external returns (uint256 amount);

    // -------------------------------------------------------------------------------------------------------- owner

    /// @notice Sets the fee on what is claimed from now on, and who receives it. By the owner, who can do nothing else.
    /// @param bps Hundredths of a percent, at most `MAX_FEE_BPS`.
    /// @param sink Treasury, or an address that burns.
    function setFee(uint16 bps, address sink) external;

    // -------------------------------------------------------------------------------------------------------- views

    /// @notice Keys of a provider.
    function provider(address account) external view returns (Provider memory);

    /// @notice Lowest price of a provider's offers in a token; 0 where the token is refused.
    function floor(address account, address token) external view returns (uint256);

    /// @notice Token units that an account can withdraw or spend on orders.
    function credit(address account, address token) external view returns (uint256);

    /// @notice The fee and who receives it.
    function fee() external view returns (uint16 bps, address sink);

    /// @notice Number of offers ever posted.
    function offerCount() external view returns (uint256);

    /// @notice At most `count` offers in the order in which they were first posted, starting with number `from`.
    function offers(uint256 from, uint256 count) external view returns (Offer[] memory);

    /// @notice An offer; reverts with `UnknownOffer` where there is none.
    function offer(OfferId offerId) external view returns (Offer memory);

    /// @notice A job; `status` is `None` where there is none.
    function job(JobId id) external view returns (Job memory);

    /// @notice Id of the offer with these terms, posted or not.
    function offerIdOf(OfferTerms calldata terms) external pure returns (OfferId);

    /// @notice Id that an order would get at this price.
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
    function voucherDigest(JobId id, uint256 gpuSeconds, bytes32 evidenceRoot) external view returns (bytes32);

    /// @notice Longest spec and longest card, in bytes.
    function MAX_TEXT() external pure returns (uint256);

    /// @notice Highest fee, in hundredths of a percent.
    function MAX_FEE_BPS() external pure returns (uint16);

    /// @notice Longest start window, in seconds.
    function MAX_START_WINDOW() external pure returns (uint32);

    /// @notice Longest claim window, in seconds.
    function MAX_CLAIM_WINDOW() external pure returns (uint32);

    /// @notice Seconds between a customer's `endJob` and the end at the earliest.
    function END_NOTICE() external pure returns (uint32);
}
