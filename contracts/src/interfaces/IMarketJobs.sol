// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Job} from "../types/Job.sol";
import {JobId} from "../types/JobId.sol";
import {JobRef, Order} from "../types/Order.sol";

/// @title How jobs stand, and what ids and signatures are made of
interface IMarketJobs {
    /// @notice A job; `status` is `None` where there is none.
    function job(JobId id) external view returns (Job memory);

    /// @notice Whose job it is, as far as `ref` proves it by the job's id and tag; zero where it doesn't. Where a delegate
    /// ordered it, its principal, whatever else `ref` says.
    function customerOf(JobRef calldata ref) external view returns (address);

    /// @notice Whether an account's signature on a voucher of a job counts now: whether the last 12 bytes of its address are
    /// those of the job's attestor.
    function isAttestor(JobId id, address account) external view returns (bool);

    /// @notice Id that an order would get at this price. Errors: `PriceTooHigh`, `DelegationTooHigh`.
    /// @param order Order.
    /// @param price Token units per GPU-hour, at most 2^80 - 1.
    /// @param delegation Delegation by which it would be placed, at most `MAX_DELEGATIONS`; 0 for none.
    /// @return id Name of the job.
    function jobIdOf(Order calldata order, uint128 price, uint32 delegation) external view returns (JobId id);

    /// @notice Hash of an order, of which with its customer the job's id is made:
    /// `keccak256(abi.encode(orderDigest, duration, specHash))`.
    function orderHashOf(Order calldata order) external view returns (bytes32);

    /// @notice EIP-712 digest that a customer signs.
    function orderDigest(Order calldata order) external view returns (bytes32);

    /// @notice EIP-712 digest that an attestor signs.
    /// @param id Job.
    /// @param gpuSeconds GPU-seconds since the start of the job.
    /// @param evidenceRoot Head of the hash chain over the evidence.
    function voucherDigest(JobId id, uint256 gpuSeconds, bytes32 evidenceRoot) external view returns (bytes32);
}
