// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Multicall} from "@openzeppelin/contracts/utils/Multicall.sol";
import {ComputeMarketExtension} from "./ComputeMarketExtension.sol";
import {Market} from "./base/Market.sol";
import {Claims} from "./core/Claims.sol";
import {Credits} from "./core/Credits.sol";
import {Ordering} from "./core/Ordering.sol";
import {Running} from "./core/Running.sol";

/// @title Market for GPU time
/// @notice What each function means is said in `IComputeMarket` and what that is made of.
/// @dev Its code is more than one contract can have. What is called seldom, or only looks, is in an extension that is deployed with it
/// and called in its place (`delegatecall`). There is no way to exchange it, so this is no proxy in any other
/// sense: an address has one code for ever.
contract ComputeMarket is Market, Credits, Ordering, Running, Claims, Multicall {
    /// @notice Where the code lies that is not here.
    address public immutable EXTENSION = address(new ComputeMarketExtension());

    /// @param owner Who sets the fee.
    /// @param bps First fee, in hundredths of a percent.
    /// @param sink First receiver of the fee.
    constructor(address owner, uint16 bps, address sink) EIP712("Hawser ComputeMarket", "1") Ownable(owner) {
        // Nothing was ordered yet, so the first fee holds at once.
        _requireFee(bps, sink);
        _fee = Fee(bps, bps, uint40(block.timestamp), sink);
        emit FeeSet(bps, sink);
    }

    /// @dev Whatever is not here is done by the extension's code, with this contract's storage, address and caller.
    fallback(bytes calldata call) external returns (bytes memory) {
        return Address.functionDelegateCall(EXTENSION, call);
    }
}
