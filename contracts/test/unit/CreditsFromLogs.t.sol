// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarketEvents as Events} from "../../src/interfaces/IComputeMarketEvents.sol";
import {IPermit2} from "../../src/interfaces/IPermit2.sol";
import {JobId} from "../../src/types/JobId.sol";
import {LastVoucher, Settlement} from "../../src/types/Voucher.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {Vm, vm} from "../support/Vm.sol";
import {TestToken} from "../tokens/TestToken.sol";

/// @dev In the place of Permit2: moves what it is asked for, whatever was signed.
contract Taker {
    function permitWitnessTransferFrom(
        IPermit2.PermitTransferFrom calldata permitted,
        IPermit2.SignatureTransferDetails calldata details,
        address owner,
        bytes32,
        string calldata,
        bytes calldata
    ) external {
        TestToken(permitted.permitted.token).transferFrom(owner, details.to, details.requestedAmount);
    }
}

/// @notice The logs tell what each account is owed, without a call of the market.
contract CreditsFromLogsTest is MarketTest {
    address private constant AGENT = address(0x0A6E);

    /// What the logs say so far.
    mapping(address account => uint256) private known;
    mapping(bytes32 id => uint256) private held;

    function test_WhatEachAccountIsOwedFollowsFromTheLogsAlone() public {
        vm.recordLogs();
        story();
        read(vm.getRecordedLogs());
        address[4] memory all = [customer, stranger, provider, AGENT];
        for (uint256 i = 0; i < 4; ++i) {
            vm.assertEq(known[all[i]], creditOf(all[i]));
        }
        vm.assertTrue(known[customer] != 0 && known[stranger] != 0 && known[provider] != 0);
    }

    /// @dev Orders paid in each way, more time paid for in each way, and each way in which a deposit comes back.
    function story() private {
        fund(stranger, 1e12);
        vm.prank(customer);
        market.deposit(customer, address(token), 21e6 + 5);
        vm.prank(customer);
        market.deposit(stranger, address(token), 1e6);
        vm.prank(customer);
        uint32 delegation = market.delegate(AGENT, address(token), 1e12, type(uint40).max);
        JobId own = open(2, 3600, "own");
        // Half of it by credit, half by tokens.
        JobId theirs = place(stranger, orderOf(offerId, stranger, 1, 3600, PRICE, "theirs", ""), "");
        JobId given = place(customer, orderOf(offerId, stranger, 1, 3600, PRICE, "given", "{}"), "{}");
        JobId declined = open(1, 3600, "declined");
        vm.prank(AGENT);
        JobId delegated = market.openJobAs(delegation, orderOf(offerId, customer, 1, 3600, PRICE, "agent", ""), "");
        remember(delegated, address(0), 0);
        vm.prank(AGENT);
        market.topUpAs(delegated, 600);
        vm.prank(stranger);
        market.topUp(own, 601);
        byPermit2();
        start(own);
        start(theirs);
        start(delegated);
        vm.prank(operator);
        market.declineJobs(refs(one(declined)), "no");
        vm.warp(T0 + START_WINDOW + 1);
        claim(own, 700);
        vm.prank(customer);
        market.endJob(ref(own));
        market.refund(refs(one(given)));
        LastVoucher[] memory vouchers = one(last(sign(theirs, 300), ref(theirs)));
        vm.prank(operator);
        market.settle(offerId, vouchers, noProofs());
        end(delegated, 0, 0);
        vm.prank(customer);
        market.withdraw(address(token), customer, 3);
    }

    function byPermit2() private {
        address permit2 = market.PERMIT2();
        vm.etch(permit2, address(new Taker()).code);
        vm.prank(customer);
        token.approve(permit2, type(uint256).max);
        market.openJobByPermit2(orderOf(offerId, customer, 1, 3600, PRICE, "permit", ""), "", 0, "");
    }

    /// @dev As an indexer would: what it doesn't know it has from earlier logs, or from the id.
    function read(Vm.Log[] memory logs) private {
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].emitter != address(market)) continue;
            (bytes32[] memory topics, bytes memory data) = (logs[i].topics, logs[i].data);
            bytes32 what = topics[0];
            if (what == Events.JobOpened.selector) {
                (uint32 duration,,) = abi.decode(data, (uint32, bytes32, bytes32));
                held[topics[1]] = deposit(topics[1], duration);
                pay(payerOf(logs, i), held[topics[1]]);
            } else if (what == Events.JobToppedUp.selector) {
                (, uint256 now_) = abi.decode(data, (uint32, uint256));
                pay(address(uint160(uint256(topics[3]))), now_ - held[topics[1]]);
                held[topics[1]] = now_;
            } else {
                gain(what, topics, data);
            }
        }
    }

    function gain(bytes32 what, bytes32[] memory topics, bytes memory data) private {
        address second = topics.length > 2 ? address(uint160(uint256(topics[2]))) : address(0);
        if (what == Events.Deposited.selector) {
            known[address(uint160(uint256(topics[1])))] += abi.decode(data, (uint256));
        } else if (what == Events.Withdrawn.selector) {
            known[address(uint160(uint256(topics[1])))] -= abi.decode(data, (uint256));
        } else if (what == Events.JobDeclined.selector) {
            (uint256 refunded,) = abi.decode(data, (uint256, string));
            known[second] += refunded;
        } else if (what == Events.JobEndAnnounced.selector) {
            (,, uint256 released,) = abi.decode(data, (address, uint64, uint256, string));
            known[address(uint160(uint256(topics[3])))] += released;
        } else if (what == Events.JobEnded.selector) {
            (, uint256 refunded,) = abi.decode(data, (uint256, uint256, string));
            known[second] += refunded;
        } else if (what == Events.JobSettled.selector || what == Events.JobRefunded.selector) {
            known[second] += abi.decode(data, (uint256));
        } else if (what == Events.UsageClaimed.selector) {
            (,, uint256 paid, uint256 fee) = abi.decode(data, (Settlement[], uint256, uint256, uint256));
            known[second] += paid - fee;
        }
    }

    /// @dev The customer, unless a log of the same order says otherwise; nobody's credit where Permit2 paid.
    function payerOf(Vm.Log[] memory logs, uint256 index) private view returns (address) {
        for (uint256 i = index + 1; i < logs.length && logs[i].topics[0] != Events.JobOpened.selector; ++i) {
            if (logs[i].emitter != address(market) || logs[i].topics[1] != logs[index].topics[1]) continue;
            if (logs[i].topics[0] == Events.JobPaidByPermit2.selector) return address(0);
            if (logs[i].topics[0] == Events.JobPaidBy.selector) return address(uint160(uint256(logs[i].topics[2])));
        }
        return address(uint160(uint256(logs[index].topics[3])));
    }

    /// @dev Credit first.
    function pay(address payer, uint256 amount) private {
        known[payer] -= known[payer] < amount ? known[payer] : amount;
    }

    function deposit(bytes32 id, uint256 duration) private pure returns (uint256) {
        return (uint80(uint256(id) >> 112) * uint256(uint16(uint256(id) >> 96)) * duration + 3599) / 3600;
    }
}
