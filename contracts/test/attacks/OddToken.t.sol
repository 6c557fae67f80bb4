// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {JobId} from "../../src/types/JobId.sol";
import {OfferTerms} from "../../src/types/Offer.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {vm} from "../support/Vm.sol";

/// @dev Answers a transfer with nothing, as some old tokens do, or with `false`.
contract OddToken {
    mapping(address => uint256) public balanceOf;
    bool public refuses;

    function set(address account, uint256 amount, bool refuses_) external {
        (balanceOf[account], refuses) = (amount, refuses_);
    }

    function transfer(address to, uint256 amount) external {
        move(msg.sender, to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) external {
        move(from, to, amount);
    }

    function move(address from, address to, uint256 amount) private {
        if (refuses) {
            assembly ("memory-safe") {
                mstore(0, 0)
                return(0, 0x20)
            }
        }
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
    }
}

/// @notice Tokens that are no ERC-20 to the letter, and addresses that are no token at all.
contract OddTokenTest is MarketTest {
    OddToken private odd;

    function offerIn(address other) private {
        OfferTerms memory t = terms();
        t.token = other;
        vm.prank(provider);
        market.setFloor(other, 0, 1);
        offerId = post(t);
    }

    function setUp() public override {
        super.setUp();
        odd = new OddToken();
        odd.set(customer, 2e6, false);
        offerIn(address(odd));
    }

    function test_ATokenThatAnswersNothingIsTaken() public {
        JobId id = open(1, 3600, 0);
        vm.prank(operator);
        market.declineJobs(refs(one(id)), "");
        vm.prank(customer);
        vm.assertEq(market.withdraw(address(odd), customer, type(uint256).max), 2e6);
        vm.assertEq(odd.balanceOf(customer), 2e6);
    }

    function test_ATokenThatAnswersFalseMovesNothing() public {
        odd.set(customer, 2e6, true);
        vm.expectRevert(abi.encodeWithSignature("SafeERC20FailedOperation(address)", address(odd)));
        open(1, 3600, 0);
        odd.set(customer, 2e6, false);
        JobId id = open(1, 3600, 0);
        vm.prank(operator);
        market.declineJobs(refs(one(id)), "");
        odd.set(customer, 0, true);
        vm.expectRevert(abi.encodeWithSignature("SafeERC20FailedOperation(address)", address(odd)));
        vm.prank(customer);
        market.withdraw(address(odd), customer, type(uint256).max);
        vm.assertEq(market.credit(customer, address(odd)), 2e6);
    }

    function test_AnAddressThatIsNoTokenTakesNoDeposit() public {
        offerIn(address(0xdead));
        vm.expectRevert("");
        open(1, 3600, 0);
    }
}
