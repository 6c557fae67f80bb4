// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {JobId} from "../types/JobId.sol";

/// @title What an offer's vouchers must satisfy besides the attestor's signature
/// @notice An offer names one in its terms where signatures of an attestor that the provider chose are not enough: a quote
/// of a secure processor, a proof, a second signature. The market asks only of a voucher
/// that is signed and adds to what was claimed. `settle` asks before it looks whose the job is, and may skip it after a yes.
interface IVerifier {
    /// @notice Whether a voucher may be paid. Asked by a static call with `VERIFIER_GAS`; whatever is not a
    /// `true`, also a revert or an answer of another length, is a no to this voucher alone.
    /// @param id Job.
    /// @param gpuSeconds GPU-seconds since the start of the job, as signed.
    /// @param evidenceRoot Head of the hash chain over the evidence.
    /// @param proof What the caller of `claim` or `settle` brought for this voucher. Anybody can call: trust nothing of it.
    function isValid(JobId id, uint256 gpuSeconds, bytes32 evidenceRoot, bytes calldata proof)
        external
        view
        returns (bool);
}
