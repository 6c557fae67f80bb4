// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @notice A token that can be told to take a fee on transfers, to refuse a receiver, to shrink balances, to lie about an
/// account's balance, or to call somebody while it moves.
contract HostileToken is ERC20("Hostile", "HOS") {
    uint256 public fee;
    address public blocked;
    address public target;
    bytes public data;
    address public liar;
    uint256 public told;

    error Blocked(address account);

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function setFee(uint256 amount) external {
        fee = amount;
    }

    function setBlocked(address account) external {
        blocked = account;
    }

    function setCall(address target_, bytes calldata data_) external {
        target = target_;
        data = data_;
    }

    /// @dev From then on nothing is moved to this account, and its balance is what it was told that it got.
    function setLie(address account) external {
        liar = account;
    }

    function balanceOf(address account) public view override returns (uint256) {
        return account == liar ? told : super.balanceOf(account);
    }

    function transferFrom(address from, address to, uint256 amount) public override returns (bool) {
        if (to != liar) return super.transferFrom(from, to, amount);
        unchecked {
            told += amount;
        }
        return true;
    }

    function shrink(address account, uint256 amount) external {
        _burn(account, amount);
    }

    function _update(address from, address to, uint256 amount) internal override {
        require(to == address(0) || to != blocked, Blocked(to));
        super._update(from, to, amount);
        if (from == address(0) || to == address(0)) return;
        if (fee != 0) super._update(to, address(0xFEE), fee);
        if (target != address(0)) {
            (bool ok, bytes memory why) = target.call(data);
            if (!ok) {
                assembly ("memory-safe") {
                    revert(add(why, 0x20), mload(why))
                }
            }
        }
    }
}
