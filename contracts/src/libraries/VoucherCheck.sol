// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {JobId} from "../types/JobId.sol";
import {JobState} from "../types/JobState.sol";
import {Hashes} from "./Hashes.sol";

/// @dev Memory position of the words that vouchers are checked in.
type VoucherCheck is uint256;

using VoucherCheckLibrary for VoucherCheck global;

/// @notice Checks the signatures of many vouchers in the same memory. It answers as OpenZeppelin's `ECDSA.tryRecover`
/// does for `Hashes.usageVoucher` (`test/fuzz/VoucherCheck.t.sol` compares them), and saves 200 gas a voucher.
/// @dev Words: EIP-712 type hash, job, count, then the last three words of a voucher as they lie in calldata, then the 66 bytes
/// of which the digest is the hash. `ecrecover` takes digest, v, r and s: digest and v are put before r, where words are
/// that were hashed by then, and s is put in the place of vs.
library VoucherCheckLibrary {
    /// @dev Above it lies the other one of two signatures of the same message: only one of them counts (EIP-2).
    uint256 private constant HIGHEST_S = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0;

    /// @notice Gets ready to check vouchers of a market.
    /// @param domain EIP-712 domain separator of the market.
    function prepare(bytes32 domain) internal pure returns (VoucherCheck check) {
        bytes32 typeHash = Hashes.USAGE_VOUCHER;
        assembly ("memory-safe") {
            check := mload(0x40)
            mstore(0x40, add(check, 0x120))
            mstore(check, typeHash)
            mstore(add(check, 0xc0), "\x19\x01")
            mstore(add(check, 0xc2), domain)
        }
    }

    /// @notice Whether a voucher was signed by a job's attestor: whether the last 96 bits of the signer's address are those that
    /// the job keeps. Nobody signs for zero, which a job keeps that was not started.
    /// @param place Where the voucher lies in calldata.
    function isSigned(VoucherCheck check, JobId id, uint256 gpuSeconds, uint256 place, JobState state)
        internal
        view
        returns (bool signed)
    {
        assembly ("memory-safe") {
            mstore(add(check, 0x20), id)
            mstore(add(check, 0x40), gpuSeconds)
            calldatacopy(add(check, 0x60), add(place, 0x20), 0x60)
            mstore(add(check, 0xe2), keccak256(check, 0x80))
            mstore(add(check, 0x40), keccak256(add(check, 0xc0), 0x42))
            let vs := mload(add(check, 0xa0))
            let s := shr(1, shl(1, vs))
            mstore(add(check, 0x60), add(27, shr(255, vs)))
            mstore(add(check, 0xa0), s)
            // Where there is no signer the precompile leaves the zero as it is. It fails only for want of gas, and then
            // too little is left to go on.
            mstore(0, 0)
            pop(staticcall(gas(), 1, add(check, 0x40), 0x80, 0, 0x20))
            // The attestor lies at the top of the state.
            let signer := shl(160, mload(0))
            signed := and(and(gt(signer, 0), iszero(shr(160, xor(signer, state)))), iszero(gt(s, HIGHEST_S)))
        }
    }
}
