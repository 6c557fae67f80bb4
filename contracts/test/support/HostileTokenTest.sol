// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {HostileToken} from "../tokens/HostileToken.sol";
import {TestToken} from "../tokens/TestToken.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {vm} from "../support/Vm.sol";

/// @notice A market in which the provider takes a token that can turn hostile: `token` is that one, `honest` another.
abstract contract HostileTokenTest is MarketTest {
    HostileToken internal hostile;
    TestToken internal honest;

    function setUp() public virtual override {
        super.setUp();
        honest = token;
        hostile = HostileToken(vm.deployCode("HostileToken.sol:HostileToken"));
        // The hostile one takes the place of the token in everything that the base does.
        token = TestToken(address(hostile));
        vm.prank(provider);
        market.setFloor(address(hostile), 0, 1);
        offerId = post(terms());
        fund(customer, 1e12);
    }
}
