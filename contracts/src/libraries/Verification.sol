// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarketErrors} from "../interfaces/IComputeMarketErrors.sol";
import {IVerifier} from "../interfaces/IVerifier.sol";
import {JobId} from "../types/JobId.sol";

/// @notice Asks an offer's verifier in a way that can harm nothing but the voucher that is asked for: it can't write, is given
/// a bounded amount of gas, and its answer is never copied but for one word.
library Verification {
    /// @notice Most gas that a verifier is given for one voucher.
    uint256 internal constant GAS = 400_000;
    /// @dev Of what is left a call gets 63/64 at most; some of it goes on before that, to touch the verifier and for the
    /// question.
    uint256 private constant NEEDED = GAS + GAS / 63 + 10_000;

    /// @notice Whether a verifier accepts a voucher. Reverts where so little gas is left that it might answer no for want of
    /// gas: what a voucher is worth must not be up to who sends it.
    function accepts(address verifier, JobId id, uint256 gpuSeconds, bytes32 evidenceRoot, bytes calldata proof)
        internal
        view
        returns (bool yes)
    {
        bytes memory question = abi.encodeCall(IVerifier.isValid, (id, gpuSeconds, evidenceRoot, proof));
        require(gasleft() >= NEEDED, IComputeMarketErrors.TooLittleGas(gasleft(), NEEDED));
        assembly ("memory-safe") {
            mstore(0, 0)
            let ok := staticcall(GAS, verifier, add(question, 0x20), mload(question), 0, 0x20)
            yes := and(and(ok, eq(returndatasize(), 0x20)), eq(mload(0), 1))
        }
    }
}
