// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {SkipReason} from "../types/Job.sol";
import {JobId} from "../types/JobId.sol";
import {OfferTerms} from "../types/Offer.sol";
import {OfferId} from "../types/OfferId.sol";
import {Settlement} from "../types/Voucher.sol";

/// @title What the market logs
/// @notice Amounts are units of the offer's token, times are Unix seconds, use is in GPU-seconds. Orders, specs, cards,
/// claims and the reasons of a provider live in these logs only. So does all that changes a credit, and whoever reads them
/// from the beginning knows each: credit pays an order or a top-up first, and the payer's tokens only what it doesn't cover;
/// of `JobPaidByPermit2` tokens pay all of it.
interface IComputeMarketEvents {
    /// @notice A provider set its keys.
    /// @param provider The provider: address of its cold key.
    /// @param operator Hot key that runs its offers; zero where it was revoked.
    /// @param payout The only address to which its earnings can be withdrawn.
    event ProviderSet(address indexed provider, address indexed operator, address payout);

    /// @notice A provider set the lowest price that its offers may have in a token.
    /// @param provider The provider.
    /// @param token ERC-20 token.
    /// @param gpuClass GPU class; 0 for all classes that have no floor of their own.
    /// @param floor Token units per GPU-hour. 0: the class has none of its own, or, for class 0, the token is refused.
    event FloorSet(address indexed provider, address indexed token, bytes32 indexed gpuClass, uint128 floor);

    /// @notice An offer was posted, or posted again with another price, availability, validity or card.
    /// @param offerId Name of the offer.
    /// @param provider Who is paid for its jobs.
    /// @param terms What never changes of it.
    /// @param price Token units per GPU-hour.
    /// @param available Most GPUs that one order may ask for.
    /// @param validUntil Last second at which an order is taken.
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
    /// @param offerId Name of the offer.
    /// @param price Token units per GPU-hour, for orders from now on.
    /// @param available Most GPUs that one order may ask for.
    /// @param validUntil Last second at which an order is taken.
    event OfferUpdated(OfferId indexed offerId, uint128 price, uint16 available, uint64 validUntil);

    /// @notice An order was placed and its deposit taken. Price, GPUs and delegation are in the id; the deposit is
    /// `ceil(price * gpus * duration / 3600)`; it can be started until the block's time plus the offer's start window.
    /// @param id Name of the job.
    /// @param offerId Offer that was ordered.
    /// @param customer Whose order it is.
    /// @param duration Seconds ordered.
    /// @param digest EIP-712 digest of the order.
    /// @param specHash keccak256 of the spec. The order's hash, which is needed to credit or ask the customer, is
    /// `keccak256(abi.encode(digest, uint256(duration), specHash))`, and the id holds a hash of it and the customer: so whoever
    /// reads this log can see that all of it belongs to the id.
    event JobOpened(
        JobId indexed id,
        OfferId indexed offerId,
        address indexed customer,
        uint32 duration,
        bytes32 digest,
        bytes32 specHash
    );

    /// @notice The text of an order's spec, right after its `JobOpened`.
    /// @param id Name of the job.
    /// @param spec Public description of the workload, as the customer wrote it. Never trust it.
    event SpecPosted(JobId indexed id, bytes spec);

    /// @notice Somebody else than the customer sent and paid for an order. Where neither this nor `JobPaidByPermit2` follows
    /// on `JobOpened`, the customer paid.
    /// @param id Name of the job.
    /// @param payer Who.
    event JobPaidBy(JobId indexed id, address indexed payer);

    /// @notice The customer's tokens paid for an order by Permit2, and no credit.
    /// @param id Name of the job.
    event JobPaidByPermit2(JobId indexed id);

    /// @notice A customer made its signed orders with a salt worthless.
    /// @param customer Who.
    /// @param salt Salt of the orders.
    event OrderCancelled(address indexed customer, uint256 salt);

    /// @notice The provider turned an order down; the whole deposit was credited to the customer.
    /// @param id Name of the job.
    /// @param customer Who was credited.
    /// @param refunded Token units credited.
    /// @param reason What the provider says. Never trust it.
    event JobDeclined(JobId indexed id, address indexed customer, uint256 refunded, string reason);

    /// @notice A job was started: its time counts from this block's.
    /// @param id Name of the job.
    /// @param attestor Whose signature on a voucher counts: the whole address, of which the market keeps the last 12 bytes.
    event JobStarted(JobId indexed id, address attestor);

    /// @notice A running job got another attestor. Vouchers of the earlier one count no more.
    /// @param id Name of the job.
    /// @param attestor Whose signature counts from now on.
    event AttestorRotated(JobId indexed id, address attestor);

    /// @notice Somebody paid for more time.
    /// @param id Name of the job.
    /// @param offerId Its offer.
    /// @param payer Whose credit and tokens paid: the caller's, or with `topUpAs` the principal's credit.
    /// @param duration Seconds paid for now, in all.
    /// @param deposit Token units for all of it.
    event JobToppedUp(
        JobId indexed id, OfferId indexed offerId, address indexed payer, uint32 duration, uint256 deposit
    );

    /// @notice A job's end was moved forward; the price of the time after it was credited to the customer.
    /// @param id Name of the job.
    /// @param offerId Its offer.
    /// @param customer Who was credited.
    /// @param by Who called: the customer, its delegate, or the provider's operator.
    /// @param end Second at which the job ends now.
    /// @param released Token units credited.
    /// @param reason What the provider says; empty where it was the customer or its delegate.
    event JobEndAnnounced(
        JobId indexed id,
        OfferId indexed offerId,
        address indexed customer,
        address by,
        uint64 end,
        uint256 released,
        string reason
    );

    /// @notice The provider ended a job for good; what was not claimed was credited to the customer.
    /// @param id Name of the job.
    /// @param customer Who was credited.
    /// @param used GPU-seconds claimed in all.
    /// @param refunded Token units credited.
    /// @param reason What the provider says. Never trust it.
    event JobEnded(JobId indexed id, address indexed customer, uint256 used, uint256 refunded, string reason);

    /// @notice The provider settled a job with its last voucher and closed it; the rest was credited. What was paid of it last is
    /// in the `UsageClaimed` log of the same call.
    /// @param id Name of the job.
    /// @param customer Who was credited.
    /// @param refunded Token units credited.
    event JobSettled(JobId indexed id, address indexed customer, uint256 refunded);

    /// @notice A job that was never started, or not claimed in full, was closed by time; the rest was credited.
    /// @param id Name of the job.
    /// @param customer Who was credited.
    /// @param refunded Token units credited.
    event JobRefunded(JobId indexed id, address indexed customer, uint256 refunded);

    /// @notice Attested use was paid. One log per `claim` or `settle`, none where nothing was paid.
    /// @param offerId Offer of all of the jobs.
    /// @param provider Who was credited.
    /// @param settlements Each job that was paid, in the order of the vouchers.
    /// @param gpuSeconds GPU-seconds paid by this claim.
    /// @param paid Token units that left the jobs' deposits in this claim; `paid - fee` went to the provider.
    /// @param fee Token units of it owed to the fee sink (`feesOf`).
    event UsageClaimed(
        OfferId indexed offerId,
        address indexed provider,
        Settlement[] settlements,
        uint256 gpuSeconds,
        uint256 paid,
        uint256 fee
    );

    /// @notice An item of a batch was left out; the rest of the batch went on.
    /// @param id Job as the caller named it: there may be none of this name.
    /// @param reason Why.
    event JobSkipped(JobId indexed id, SkipReason reason);

    /// @notice Somebody credited an account with tokens.
    /// @param account Whose credit it is.
    /// @param token ERC-20 token.
    /// @param from Who paid.
    /// @param amount Token units.
    event Deposited(address indexed account, address indexed token, address indexed from, uint256 amount);

    /// @notice Credit left the market: all that the account had, what it asked for, or as much as the market had of the token.
    /// @param account Whose credit it was.
    /// @param token ERC-20 token.
    /// @param to Who received it.
    /// @param amount Token units that were sent.
    event Withdrawn(address indexed account, address indexed token, address indexed to, uint256 amount);

    /// @notice What a fee sink was owed left the market: all of it, or as much as the market had of the token.
    /// @param sink Who is or was the fee's receiver.
    /// @param token ERC-20 token.
    /// @param to Who received it: the sink, or its payout address where it is a provider too.
    /// @param amount Token units that were sent.
    event FeesSwept(address indexed sink, address indexed token, address indexed to, uint256 amount);

    /// @notice A principal made, changed or revoked a delegation.
    /// @param delegation Its number.
    /// @param principal Whose credit it spends.
    /// @param delegate Who may spend it.
    /// @param token ERC-20 token.
    /// @param perDay Token units for one day of UTC.
    /// @param until Last second at which anything can be spent; 0 where it was revoked.
    event DelegationSet(
        uint32 indexed delegation,
        address indexed principal,
        address indexed delegate,
        address token,
        uint112 perDay,
        uint40 until
    );

    /// @notice The owner set the fee that holds now, or who receives it. A raise that was announced before is taken back
    /// where no `FeeRaiseAnnounced` follows.
    /// @param bps Hundredths of a percent of what is claimed.
    /// @param sink Who is owed it from now on.
    event FeeSet(uint16 bps, address indexed sink);

    /// @notice The owner announced a higher fee.
    /// @param bps Hundredths of a percent of what is claimed.
    /// @param from Second from which it holds: no order that was placed before the announcement can be claimed then.
    event FeeRaiseAnnounced(uint16 bps, uint64 from);

    /// @notice The owner announced the last second at which an order is taken, or took that back.
    /// @param last Unix second; 0 where it was taken back.
    event SunsetAnnounced(uint64 last);
}
