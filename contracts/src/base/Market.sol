// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Fees} from "./Fees.sol";
import {Orders} from "./Orders.sol";

/// @title All that is stored, in the order that both halves of the market's code rely on
abstract contract Market is Orders, Fees {}
