// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarketErrors as Errors} from "../../src/interfaces/IComputeMarketErrors.sol";
import {IComputeMarketEvents} from "../../src/interfaces/IComputeMarketEvents.sol";
import {Delegation} from "../../src/types/Delegation.sol";
import {JobStatus} from "../../src/types/Job.sol";
import {JobId} from "../../src/types/JobId.sol";
import {JobRef, Order} from "../../src/types/Order.sol";
import {LastVoucher} from "../../src/types/Voucher.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {vm} from "../support/Vm.sol";

/// @notice An agent that may spend 6e6 a day of the customer's credit of 20e6.
contract DelegateTest is MarketTest {
    address private immutable agent = address(0x0A6E);
    uint40 private constant UNTIL = uint40(T0 + 10 days);
    uint32 private delegation;

    function setUp() public override {
        super.setUp();
        vm.warp(T0 - T0 % 1 days);
        vm.prank(customer);
        market.deposit(customer, address(token), 20e6);
        vm.prank(customer);
        delegation = market.delegate(agent, address(token), 6e6, UNTIL);
    }

    function order(uint32 duration, bytes32 salt) private view returns (Order memory) {
        return orderOf(offerId, customer, 1, duration, PRICE, salt, "");
    }

    function openAs(address by, Order memory asked) private returns (JobId) {
        vm.prank(by);
        return market.openJobAs(delegation, asked, "");
    }

    function refused(address by, Order memory asked, bytes memory why) private {
        vm.expectRevert(why);
        openAs(by, asked);
    }

    function test_ADelegationIsKeptAndLogged() public {
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.DelegationSet(2, stranger, agent, provider, 7, 8);
        vm.prank(stranger);
        vm.assertEq(market.delegate(agent, provider, 7, 8), 2);
        vm.assertEq(market.delegationCount(), 2);
        vm.assertEq(abi.encode(market.delegationOf(2)), abi.encode(Delegation(stranger, agent, provider, 7, 0, 8)));
        vm.assertEq(
            abi.encode(market.delegationOf(1)), abi.encode(Delegation(customer, agent, address(token), 6e6, 0, UNTIL))
        );
        vm.assertEq(market.delegationOf(3).principal, address(0));
        vm.assertEq(market.MAX_DELEGATIONS(), 2 ** 31 - 1);
    }

    function test_TheDelegateOrdersInItsPrincipalsNameAndForItsCredit() public {
        Order memory asked = order(3600, 0);
        JobId expected = market.jobIdOf(asked, PRICE, delegation);
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.JobOpened(expected, offerId, customer, 3600, digestOf(asked), asked.specHash);
        JobId id = openAs(agent, asked);
        vm.assertTrue(id == expected);
        vm.assertEq(market.job(id).delegation, delegation);
        vm.assertEq(creditOf(customer), 18e6);
        vm.assertEq(market.delegationOf(delegation).spentToday, 2e6);
        // What comes back is the principal's, and nobody has to prove whose order it was.
        vm.assertEq(market.customerOf(JobRef(id, agent, "ground")), customer);
        vm.prank(operator);
        vm.assertEq(market.declineJobs(one(JobRef(id, agent, "ground")), ""), 1);
        vm.assertEq(creditOf(customer), 20e6);
        vm.assertEq(creditOf(agent), 0);
        // That it came back makes no room in the day.
        vm.assertEq(market.delegationOf(delegation).spentToday, 2e6);
    }

    function test_ADaysLimitHoldsAndTheNextDayBeginsAnew() public {
        openAs(agent, order(7200, "a"));
        refused(
            agent, order(3601, "b"), abi.encodeWithSelector(Errors.LimitExceeded.selector, delegation, 6_000_556, 6e6)
        );
        openAs(agent, order(3600, "b"));
        uint256 midnight = block.timestamp + 1 days;
        vm.warp(midnight - 1);
        refused(
            agent, order(120, "c"), abi.encodeWithSelector(Errors.LimitExceeded.selector, delegation, 6_066_667, 6e6)
        );
        vm.warp(midnight);
        vm.assertEq(market.delegationOf(delegation).spentToday, 0);
        openAs(agent, order(10_800, "c"));
        vm.assertEq(market.delegationOf(delegation).spentToday, 6e6);
        vm.assertEq(creditOf(customer), 8e6);
    }

    function test_NobodyElseSpendsAndNotInAnothersName() public {
        refused(stranger, order(3600, 0), abi.encodeWithSelector(Errors.NotDelegate.selector, delegation, stranger));
        refused(customer, order(3600, 0), abi.encodeWithSelector(Errors.NotDelegate.selector, delegation, customer));
        Order memory asked = order(3600, 0);
        asked.customer = agent;
        refused(agent, asked, abi.encodeWithSelector(Errors.NotPrincipal.selector, delegation, agent));
        asked.customer = address(0);
        vm.expectRevert(abi.encodeWithSelector(Errors.ZeroAccount.selector));
        vm.prank(address(0));
        market.openJobAs(0, asked, "");
    }

    function test_ItEndsWithItsTimeOrWhenItIsRevoked() public {
        vm.warp(UNTIL);
        openAs(agent, order(120, "last"));
        vm.warp(UNTIL + 1);
        refused(agent, order(120, 0), abi.encodeWithSelector(Errors.NotDelegate.selector, delegation, agent));
        vm.warp(T0);
        vm.expectRevert(abi.encodeWithSelector(Errors.NotPrincipal.selector, delegation, agent));
        vm.prank(agent);
        market.changeDelegation(delegation, 1e18, UNTIL);
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.DelegationSet(delegation, customer, agent, address(token), 6e6, 0);
        vm.prank(customer);
        market.changeDelegation(delegation, 6e6, 0);
        refused(agent, order(120, 0), abi.encodeWithSelector(Errors.NotDelegate.selector, delegation, agent));
    }

    function test_AChangedLimitCountsWhatWasSpentToday() public {
        openAs(agent, order(7200, 0));
        vm.prank(customer);
        market.changeDelegation(delegation, 5e6, UNTIL + 1);
        vm.assertEq(market.delegationOf(delegation).until, UNTIL + 1);
        refused(
            agent, order(1801, "b"), abi.encodeWithSelector(Errors.LimitExceeded.selector, delegation, 5_000_556, 5e6)
        );
        openAs(agent, order(1800, "b"));
    }

    function test_ItSpendsOneTokenAndOnlyCredit() public {
        vm.prank(customer);
        uint32 other = market.delegate(agent, provider, type(uint112).max, UNTIL);
        vm.expectRevert(abi.encodeWithSelector(Errors.OtherToken.selector, other, provider, address(token)));
        vm.prank(agent);
        market.openJobAs(other, order(120, 0), "");
        vm.prank(customer);
        market.withdraw(address(token), customer, 19e6);
        refused(
            agent,
            order(3600, 0),
            abi.encodeWithSelector(Errors.CreditTooLow.selector, customer, address(token), 1e6, 2e6)
        );
        vm.expectRevert(abi.encodeWithSelector(Errors.NothingToWithdraw.selector, agent, address(token)));
        vm.prank(agent);
        market.withdraw(address(token), agent, type(uint256).max);
    }

    function test_ItTopsUpAndEndsWhatItOrdered() public {
        JobId id = openAs(agent, order(3600, 0));
        start(id);
        vm.expectEmit(address(market));
        emit IComputeMarketEvents.JobToppedUp(id, offerId, customer, 7200, 4e6);
        vm.prank(agent);
        market.topUpAs(id, 3600);
        vm.assertEq(creditOf(customer), 16e6);
        vm.assertEq(market.delegationOf(delegation).spentToday, 4e6);
        vm.expectRevert(abi.encodeWithSelector(Errors.LimitExceeded.selector, delegation, 6_000_556, 6e6));
        vm.prank(agent);
        market.topUpAs(id, 3601);
        vm.expectRevert(abi.encodeWithSelector(Errors.NotDelegate.selector, delegation, customer));
        vm.prank(customer);
        market.topUpAs(id, 60);
        vm.prank(agent);
        market.endJob(JobRef(id, address(0), 0));
        assertStatus(id, JobStatus.Running);
        vm.assertTrue(market.job(id).ending);
        vm.assertEq(market.offer(offerId).counters.endedByCustomer, 1);
    }

    function test_ThePrincipalEndsItTooAndOthersDont() public {
        JobId id = openAs(agent, order(3600, 0));
        start(id);
        vm.prank(customer);
        market.changeDelegation(delegation, 0, 0);
        vm.expectRevert(abi.encodeWithSelector(Errors.NotCustomer.selector, id, agent));
        vm.prank(agent);
        market.endJob(JobRef(id, agent, 0));
        vm.expectRevert(abi.encodeWithSelector(Errors.NotCustomer.selector, id, stranger));
        vm.prank(stranger);
        market.endJob(JobRef(id, stranger, 0));
        vm.prank(customer);
        market.endJob(JobRef(id, stranger, 0));
    }

    /// @dev A delegate is nobody to what its principal ordered itself, nor to what another delegate did.
    function test_ItTouchesNothingThatItDidNotOrder() public {
        JobId own = running();
        vm.expectRevert(abi.encodeWithSelector(Errors.NotDelegate.selector, 0, agent));
        vm.prank(agent);
        market.topUpAs(own, 60);
        vm.expectRevert(abi.encodeWithSelector(Errors.NotCustomer.selector, own, agent));
        vm.prank(agent);
        market.endJob(ref(own));
        vm.prank(customer);
        uint32 second = market.delegate(stranger, address(token), 6e6, UNTIL);
        vm.prank(stranger);
        JobId theirs = market.openJobAs(second, order(3600, "theirs"), "");
        start(theirs);
        vm.expectRevert(abi.encodeWithSelector(Errors.NotDelegate.selector, second, agent));
        vm.prank(agent);
        market.topUpAs(theirs, 60);
        vm.expectRevert(abi.encodeWithSelector(Errors.NotCustomer.selector, theirs, agent));
        vm.prank(agent);
        market.endJob(JobRef(theirs, agent, 0));
    }

    /// @dev Claimed, settled and refunded as any other, for the principal.
    function test_ItsJobsAreSettledForThePrincipal() public {
        JobId id = openAs(agent, order(3600, "a"));
        JobId never = openAs(agent, order(3600, "b"));
        start(id);
        vm.warp(block.timestamp + 1800);
        claim(id, 900);
        LastVoucher[] memory vouchers = one(last(sign(id, 1800), JobRef(id, address(0), 0)));
        vm.prank(operator);
        vm.assertEq(market.settle(offerId, vouchers, noProofs()), 1);
        vm.prank(stranger);
        vm.assertEq(market.refund(one(JobRef(never, stranger, 0))), 1);
        vm.assertEq(creditOf(customer), 20e6 - 1e6);
    }
}
