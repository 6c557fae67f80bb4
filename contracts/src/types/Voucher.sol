// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Use} from "./Use.sol";

/// @notice Attested use of a job: the EIP-712 message `UsageVoucher(bytes32 jobId,uint256 gpuSeconds,bytes32
/// evidenceRoot)` with the attestor's signature in compact form (EIP-2098). The claim names the offer, so job and count share
/// a word.
struct Voucher {
    /// Job, and GPU-seconds since its start: cumulative, so only the newest voucher matters.
    Use use;
    /// Head of the hash chain over the evidence that the count rests on.
    bytes32 evidenceRoot;
    /// `r` of the signature.
    bytes32 r;
    /// `yParity` (top bit) and `s` of the signature.
    bytes32 vs;
}

/// @notice The last voucher of a job, and whom to give back what it leaves.
struct LastVoucher {
    /// Job, and GPU-seconds since its start.
    Use use;
    /// Head of the hash chain over the evidence that the count rests on.
    bytes32 evidenceRoot;
    /// `r` of the signature.
    bytes32 r;
    /// `yParity` (top bit) and `s` of the signature.
    bytes32 vs;
    /// Customer, as in the order; not read where a delegate placed it.
    address customer;
    /// Hash of the order, as `JobOpened` logged it; not read where a delegate placed it.
    bytes32 orderHash;
}

/// @notice One job's line in the log of a claim.
struct Settlement {
    /// Job, and GPU-seconds claimed so far, this claim included. What was paid so far is `floor(price * used / 3600)`,
    /// with the price in the job's id.
    Use use;
    bytes32 evidenceRoot;
}
