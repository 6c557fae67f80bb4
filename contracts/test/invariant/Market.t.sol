// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarket} from "../../src/interfaces/IComputeMarket.sol";
import {Job} from "../../src/types/Job.sol";
import {JobId} from "../../src/types/JobId.sol";
import {HostileToken} from "../tokens/HostileToken.sol";
import {TestToken} from "../tokens/TestToken.sol";
import {vm} from "../support/Vm.sol";
import {Attackers} from "./Attackers.sol";

/// @notice What holds whatever anybody calls in whatever order.
contract MarketInvariants {
    address private constant OWNER = address(0x0111);
    address private constant SINK = address(0x0222);

    IComputeMarket private market;
    TestToken private token;
    HostileToken private hostile;
    Attackers private actors;

    function setUp() public {
        vm.warp(1_800_000_000);
        market = IComputeMarket(vm.deployCode("ComputeMarket.sol:ComputeMarket", abi.encode(OWNER, uint16(333), SINK)));
        token = TestToken(vm.deployCode("TestToken.sol:TestToken"));
        hostile = HostileToken(vm.deployCode("HostileToken.sol:HostileToken"));
        actors = new Attackers(market, token, hostile, OWNER, SINK);
        begin();
    }

    /// @dev A market at work: without credit, jobs and orders to begin with, few runs would come to a claim.
    function begin() private {
        for (uint256 i = 0; i < 2; ++i) {
            actors.payIn(i, i, 5e11);
        }
        for (uint256 i = 0; i < 8; ++i) {
            actors.order(i, uint16(i), uint32(1500 * i), i / 2);
        }
        actors.orderAsDelegate(0, 1, 3600);
        actors.orderAsDelegate(1, 2, 7200);
        for (uint256 i = 0; i < 10; ++i) {
            if (i != 3) actors.start(i, i);
        }
        actors.passTime(600);
        // And orders of both providers, not started yet.
        for (uint256 i = 0; i < 4; ++i) {
            actors.order(i, uint16(i), uint32(1500 * i), i / 2);
            actors.orderInHostileToken();
        }
    }

    /// @dev Read by forge: only the actors are called.
    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(actors);
    }

    function excludeSelectors() public view returns (Selectors[] memory excluded) {
        excluded = new Selectors[](1);
        excluded[0].target = address(actors);
        excluded[0].selectors = new bytes4[](1);
        excluded[0].selectors[0] = Attackers.letTimePass.selector;
    }

    function invariant_TheBalanceIsWhatDepositsAndCreditsAddUpTo() public view {
        uint256 owed = credit(actors.customers(0)) + credit(actors.customers(1)) + credit(actors.provider())
            + actors.feesIn(address(token));
        for (uint256 i = 0; i < actors.jobCount(); ++i) {
            Job memory job = market.job(actors.jobs(i));
            owed += job.deposit - job.paid;
        }
        vm.assertEq(token.balanceOf(address(market)), owed);
    }

    /// @dev Of a token that takes fees, refuses receivers and calls back while it moves, and whose jobs it runs itself.
    function invariant_TheBalanceOfAHostileTokenIsTooAndNoUnitTurnsIntoAnother() public view {
        uint256 owed = actors.feesIn(address(hostile));
        address[4] memory all = [actors.customers(0), actors.customers(1), actors.accomplice(), address(hostile)];
        for (uint256 i = 0; i < 4; ++i) {
            owed += market.credit(all[i], address(hostile));
        }
        for (uint256 i = 0; i < actors.hostileJobCount(); ++i) {
            Job memory job = market.job(actors.hostileJobs(i));
            owed += job.deposit - job.paid;
        }
        vm.assertEq(hostile.balanceOf(address(market)), owed);
        vm.assertEq(credit(actors.accomplice()) + credit(address(hostile)), 0);
    }

    /// @dev Prices, GPUs, times and what was signed are those of the calls, and what was earned is in the ledgers.
    function invariant_NobodyIsPaidPastTheBounds() public view {
        uint256 most = 0;
        for (uint256 i = 0; i < actors.jobCount(); ++i) {
            JobId id = actors.jobs(i);
            (uint256 price, uint256 gpus, uint256 duration,,, uint256 signed,) = actors.models(id);
            uint256 limit = actors.mostUsed(id);
            if (signed < limit) limit = signed;
            vm.assertLe(market.job(id).used, limit, "paid beyond running time or what was signed");
            vm.assertLe(price * limit, price * gpus * duration, "paid beyond the deposit");
            most += price * market.job(id).used / 3600;
        }
        vm.assertEq(earned(), most, "paid another price");
    }

    function invariant_WhatOffersCountIsWhatProviderAndSinkGot() public view {
        uint256 settled =
            market.offer(actors.offerIds(0)).settledAmount + market.offer(actors.offerIds(1)).settledAmount;
        vm.assertEq(settled, earned());
        uint256 paid;
        for (uint256 i = 0; i < actors.jobCount(); ++i) {
            paid += market.job(actors.jobs(i)).paid;
        }
        vm.assertEq(settled, paid);
    }

    function invariant_NothingGoesToAKeyThatEarnsNothing() public view {
        vm.assertEq(token.balanceOf(actors.operator()) + token.balanceOf(actors.stranger()), 0);
        vm.assertEq(token.balanceOf(actors.agent()) + credit(actors.agent()) + credit(address(0)), 0);
        vm.assertEq(credit(actors.operator()) + credit(actors.stranger()) + credit(OWNER), 0);
    }

    /// @dev After each run: nobody needs anybody's help to get out what is theirs.
    function afterInvariant() public {
        actors.letTimePass();
        vm.assertEq(token.balanceOf(address(market)), 0);
        vm.assertEq(hostile.balanceOf(address(market)), 0);
        uint256 out = token.balanceOf(actors.customers(0)) + token.balanceOf(actors.customers(1))
            + token.balanceOf(actors.payouts(0)) + token.balanceOf(actors.payouts(1)) + swept();
        vm.assertEq(out, 2 * actors.MINTED());
    }

    function earned() private view returns (uint256) {
        return credit(actors.provider()) + token.balanceOf(actors.payouts(0)) + token.balanceOf(actors.payouts(1))
            + actors.feesIn(address(token)) + swept();
    }

    function swept() private view returns (uint256) {
        return token.balanceOf(actors.sinks(0)) + token.balanceOf(actors.sinks(1));
    }

    function credit(address account) private view returns (uint256) {
        return market.credit(account, address(token));
    }
}

/// @dev What forge reads from `excludeSelectors`.
struct Selectors {
    address target;
    bytes4[] selectors;
}
