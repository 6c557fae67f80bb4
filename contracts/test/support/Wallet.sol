// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

/// @notice An account that is a contract: it signs what its owner signs (ERC-1271), and can be told to sign nothing.
contract Wallet is IERC1271 {
    address private immutable owner;
    bool public silent;

    constructor(address owner_) {
        owner = owner_;
    }

    function setSilent(bool silent_) external {
        silent = silent_;
    }

    function isValidSignature(bytes32 hash, bytes calldata signature) external view returns (bytes4) {
        bool good = !silent && ECDSA.recoverCalldata(hash, signature) == owner;
        return good ? IERC1271.isValidSignature.selector : bytes4(0);
    }
}
