// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Market} from "./base/Market.sol";
import {JobViews} from "./extension/JobViews.sol";
import {OfferBook} from "./extension/OfferBook.sol";
import {OrdersFor} from "./extension/OrdersFor.sol";
import {Owner} from "./extension/Owner.sol";

/// @title The half of the market's code that is called seldom
/// @notice Call the market, not this: here are no offers, and there never are any that take orders.
contract ComputeMarketExtension is Market, OfferBook, OrdersFor, JobViews, Owner {
    /// @dev The storage of this very contract is of no use. Its sunset has passed, so nothing can be ordered here.
    constructor() EIP712("Hawser ComputeMarket", "1") Ownable(address(1)) {
        _sunset = 1;
    }
}
