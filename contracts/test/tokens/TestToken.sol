// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";

/// @notice Payment token of the tests and of the local cluster: six decimals, permit, and anybody can mint.
contract TestToken is ERC20, ERC20Permit {
    constructor() ERC20("Hawser Test Dollar", "tUSD") ERC20Permit("Hawser Test Dollar") {}

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function decimals() public pure override returns (uint8) {
        return 6;
    }
}
