// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {JobId} from "./JobId.sol";

/// @notice Attested use of a job: the EIP-712 message `UsageVoucher(bytes32 jobId,uint256 gpuSeconds,bytes32
/// evidenceRoot)` with the attestor's signature in compact form (EIP-2098).
struct Voucher {
    JobId jobId;
    /// GPU-seconds since the job's start: cumulative, so only the newest voucher matters.
    uint64 gpuSeconds;
    /// Head of the hash chain over the evidence that the count rests on.
    bytes32 evidenceRoot;
    /// `r` of the signature.
    bytes32 r;
    /// `yParity` (top bit) and `s` of the signature.
    bytes32 vs;
}

/// @notice One job's line in the log of a claim.
struct Settlement {
    JobId jobId;
    /// GPU-seconds claimed so far, this claim included. What was paid so far is `floor(price * used / 3600)`, with
    /// the price in the job's id.
    uint256 used;
    bytes32 evidenceRoot;
}
