// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {OfferId} from "./OfferId.sol";

/// @notice Where a job stands.
enum JobStatus {
    /// Never ordered.
    None,
    /// Ordered and paid for, not started.
    Open,
    /// Started, its end lies ahead.
    Running,
    /// Its end has passed; use can be claimed until the claim window ends, the rest can be refunded after that.
    Ended,
    /// Nothing of its deposit is held any more; no call changes it again.
    Closed
}

/// @notice A job as it stands now.
struct Job {
    JobStatus status;
    /// Offer that was ordered.
    OfferId offerId;
    /// Delegation by which it was ordered; 0 where it was none. Whose job it is says `JobOpened`, or the delegation.
    uint32 delegation;
    /// Last 12 bytes of the address whose signature on a voucher counts; zero before the start. `JobStarted` and
    /// `AttestorRotated` have it whole; `isAttestor` compares.
    bytes12 attestor;
    /// What the market keeps of the order's hash beside the job's id: that of another order with this id differs here.
    bytes8 orderTag;
    /// Locked price, token units per GPU-hour.
    uint128 price;
    /// Number of GPUs.
    uint16 gpus;
    /// Seconds ordered and paid for, as topped up or shortened; 0 once closed.
    uint32 duration;
    /// The offer's shortest order, in seconds.
    uint32 minDuration;
    /// The offer's longest order, in seconds.
    uint32 maxDuration;
    /// Last Unix second at which the job could or can be started; 0 once it was.
    uint64 startDeadline;
    /// Unix second of the start; 0 before it.
    uint64 started;
    /// Unix second at which the job ends: `started + duration`; 0 before the start and once closed.
    uint64 end;
    /// Whether an end earlier than the paid one was announced; such a job takes no top-up.
    bool ending;
    /// First Unix second at which anyone can call `refund`; 0 once closed.
    uint64 refundableFrom;
    /// GPU-seconds claimed so far.
    uint64 used;
    /// Token units for the whole `duration`; once closed, what was paid.
    uint256 deposit;
    /// Token units claimed so far, fee included. `deposit - paid` is what the market holds for this job.
    uint256 paid;
}

/// @notice Why a batch function left an item out. The rest of the batch goes on.
enum SkipReason {
    /// The caller is neither the provider nor its operator.
    NotOperator,
    /// There is no such job, or it is closed.
    NotLive,
    /// `declineJobs`: the job was started already.
    AlreadyStarted,
    /// `claim`, `settle`, `endJobs`: the job was not started.
    NotStarted,
    /// `startJobs`: the start deadline has passed.
    DeadlinePassed,
    /// `startJobs`: the zero address can't attest, nor one whose last 12 bytes are zero.
    ZeroAttestor,
    /// `startJobs`: the job has ended, and its claim window too.
    AlreadyEnded,
    /// `claim`, `settle`: the claim window has ended.
    ClaimWindowPassed,
    /// `claim`: the voucher adds nothing to what was claimed.
    Stale,
    /// `claim`, `settle`: the signature is not the attestor's.
    BadSignature,
    /// `endJobs`: less was claimed than the caller expects; claim first. `settle`: more is signed for than can be paid yet.
    UnclaimedUse,
    /// `endJobs` with notice: the job ends before that anyway.
    EndNotEarlier,
    /// `refund`: the start deadline or the claim window still runs.
    TooEarly,
    /// `endJobs` with notice: the second of the notice has passed already.
    EndPassed,
    /// Customer and hash of the order are not those with which this job was ordered.
    WrongOrder,
    /// `claim`, `settle`: the offer's verifier doesn't accept the voucher.
    Unverified
}
