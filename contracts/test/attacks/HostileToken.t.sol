// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarket} from "../../src/interfaces/IComputeMarket.sol";
import {IComputeMarketErrors} from "../../src/interfaces/IComputeMarketErrors.sol";
import {JobId} from "../../src/types/JobId.sol";
import {OfferTerms} from "../../src/types/Offer.sol";
import {HostileToken} from "../tokens/HostileToken.sol";
import {TestToken} from "../tokens/TestToken.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {vm} from "../support/Vm.sol";

contract HostileTokenTest is MarketTest {
    HostileToken private hostile;
    TestToken private honest;

    function setUp() public override {
        super.setUp();
        honest = token;
        hostile = HostileToken(vm.deployCode("HostileToken.sol:HostileToken"));
        // The hostile one takes the place of the token in everything that the base does.
        token = TestToken(address(hostile));
        vm.prank(provider);
        market.setFloor(address(hostile), 1);
        offerId = post(terms());
        fund(customer, 1e12);
    }

    function test_AFeeOnTransferIsRefusedAtTheDeposit() public {
        hostile.setFee(1);
        vm.expectRevert(
            abi.encodeWithSelector(IComputeMarketErrors.TransferMismatch.selector, address(hostile), 2e6, 2e6 - 1)
        );
        open(1, 3600, 0);
    }

    function test_ATokenThatReentersMovesNothing() public {
        bytes[4] memory calls = [
            abi.encodeCall(IComputeMarket.openJob, (offerId, 1, 3600, PRICE, "again", "{}")),
            abi.encodeCall(IComputeMarket.topUp, (JobId.wrap(0), 1)),
            abi.encodeCall(IComputeMarket.withdraw, (address(hostile), address(hostile))),
            abi.encodeCall(IComputeMarket.withdrawFor, (provider, address(hostile)))
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            hostile.setCall(address(market), calls[i]);
            vm.expectRevert(abi.encodeWithSignature("ReentrancyGuardReentrantCall()"));
            open(1, 3600, 0);
        }
    }

    function test_ABlockedReceiverBlocksOnlyItself() public {
        JobId id = running();
        hostile.setBlocked(payout);
        vm.warp(T0 + 1000);
        claim(id, 1800);
        end(id, 0, 1800);
        vm.prank(customer);
        vm.assertEq(market.withdraw(address(hostile), customer), 3e6);

        vm.expectRevert(abi.encodeWithSelector(HostileToken.Blocked.selector, payout));
        vm.prank(operator);
        market.withdrawFor(provider, address(hostile));
        vm.prank(provider);
        market.setProvider(operator, stranger);
        vm.prank(operator);
        vm.assertEq(market.withdrawFor(provider, address(hostile)), 975_000);
    }

    function test_ATokenThatShrinksTakesNothingFromAnother() public {
        open(2, 3600, 0);
        hostile.shrink(address(market), 4e6);

        token = honest;
        offerId = market.offerIdOf(terms());
        JobId id = running();
        end(id, 0, 0);
        vm.prank(customer);
        vm.assertEq(market.withdraw(address(honest), customer), 4e6);
    }

    function test_ATokenThatTakesMoreThanItSendsCantPayOut() public {
        JobId id = open(2, 3600, 0);
        vm.prank(operator);
        market.declineJobs(one(id), "");
        hostile.setCall(address(hostile), abi.encodeCall(HostileToken.shrink, (address(market), 1)));
        open(1, 3600, "from credit, nothing moves");
        hostile.mint(address(market), 10);
        vm.expectRevert(
            abi.encodeWithSelector(IComputeMarketErrors.TransferMismatch.selector, address(hostile), 2e6, 2e6 + 1)
        );
        vm.prank(customer);
        market.withdraw(address(hostile), customer);
    }

    function test_AnAddressThatIsNoTokenTakesNoDeposit() public {
        OfferTerms memory t = terms();
        t.token = address(0xdead);
        vm.prank(provider);
        market.setFloor(t.token, 1);
        offerId = post(t);
        vm.expectRevert("");
        open(1, 3600, 0);
    }
}
