// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title The fee and the sunset
interface IMarketOwner {
    /// @notice Sets the fee on what is claimed, and who receives it. A fee that is not higher than the one that holds, and
    /// the receiver, hold at once. A higher fee holds `FEE_NOTICE` seconds later, when no order that was placed before can
    /// be claimed any more; setting it again, or to less, keeps that date.
    /// @dev By the owner, who can do nothing else but announce a sunset and pass on or give up its role. Errors: `FeeTooHigh`,
    /// `ZeroFeeSink`, `AccountIsTheMarket`. Events: `FeeSet`, and `FeeRaiseAnnounced` where the fee is higher.
    /// @param bps Hundredths of a percent, at most `MAX_FEE_BPS`.
    /// @param sink Who is owed it from now on, and whom anybody can have it sent (`sweepFees`): a burn address serves too,
    /// where the token can be sent to it. Fees are kept apart from credit: naming an account here touches nothing that it
    /// has.
    function setFee(uint16 bps, address sink) external;

    /// @notice Announces the last second at which an order is taken, or takes that back. What was ordered by then runs, is
    /// topped up, claimed, ended and refunded as ever, and credits can be withdrawn for ever.
    /// @dev By the owner. It stops nothing that is there: offers lapse, at most `MAX_VALIDITY` after they were posted, and
    /// none can be posted beyond it. Once it has passed it stands. Errors: `SunsetPassed`, `SunsetTooSoon`, `SunsetTooLate`.
    /// Event: `SunsetAnnounced`.
    /// @param last Unix second, at least `MAX_VALIDITY` from now; 0 takes an announcement back.
    function announceSunset(uint64 last) external;

    /// @notice Sends a fee sink what it is owed in a token; where it is a provider too, to its payout address.
    /// @dev By anybody, also of one that is the sink no more. It sends fees and no credit: there is no other way to be paid
    /// them. A sink that a token doesn't send to names a payout address (`setProvider`). Errors: `NothingToWithdraw`,
    /// `TransferMismatch`. Event: `FeesSwept`.
    /// @param sink Who is or was the fee's receiver.
    /// @param token ERC-20 token.
    /// @return amount Token units sent.
    function sweepFees(address sink, address token) external returns (uint256 amount);

    /// @notice Token units of fees that an account is owed and that were not sent yet.
    function feesOf(address sink, address token) external view returns (uint256);

    /// @notice The fee that holds now, in hundredths of a percent, and who receives it.
    function fee() external view returns (uint16 bps, address sink);

    /// @notice The fee that was set last, in hundredths of a percent, and the second from which it holds, which has passed
    /// where no raise is announced.
    function announcedFee() external view returns (uint16 bps, uint64 from);

    /// @notice Last second at which an order is taken; 0 where none is announced.
    function sunset() external view returns (uint64);

    /// @notice Highest fee, in hundredths of a percent.
    function MAX_FEE_BPS() external pure returns (uint16);

    /// @notice Seconds from the announcement of a higher fee until it holds: longest start window, longest job and longest
    /// claim window together, and one.
    function FEE_NOTICE() external pure returns (uint32);
}
