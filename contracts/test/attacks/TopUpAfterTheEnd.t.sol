// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IComputeMarketErrors} from "../../src/interfaces/IComputeMarketErrors.sol";
import {JobStatus} from "../../src/types/Job.sol";
import {JobId} from "../../src/types/JobId.sol";
import {MarketTest} from "../support/MarketTest.sol";
import {vm} from "../support/Vm.sol";

/// @notice The customer prolongs a job whose end was announced, to keep GPUs that the data centre needs back.
contract TopUpAfterTheEndTest is MarketTest {
    function refused(JobId id, bytes memory why) private {
        vm.expectRevert(why);
        vm.prank(customer);
        market.topUp(id, 60);
    }

    function test_AnEndOfTheProviderStands() public {
        JobId id = running();
        end(id, uint64(T0 + 1800), 0);
        refused(id, abi.encodeWithSelector(IComputeMarketErrors.EndAnnounced.selector, id, T0 + 1800));
        vm.warp(T0 + 1799);
        refused(id, abi.encodeWithSelector(IComputeMarketErrors.EndAnnounced.selector, id, T0 + 1800));
        vm.warp(T0 + 1800);
        refused(id, abi.encodeWithSelector(IComputeMarketErrors.WrongStatus.selector, id, JobStatus.Ended));
    }

    function test_AnEndOfTheCustomerStandsToo() public {
        JobId id = running();
        vm.warp(T0 + 600);
        vm.prank(customer);
        market.endJob(ref(id));
        refused(id, abi.encodeWithSelector(IComputeMarketErrors.EndAnnounced.selector, id, T0 + 660));
    }

    /// @dev In front of the announcement a top-up counts, and is given back by it.
    function test_ATopUpInFrontOfTheAnnouncementKeepsNoGpu() public {
        JobId id = running();
        vm.prank(customer);
        market.topUp(id, MAX_DURATION - 3600);
        vm.assertEq(end(id, uint64(T0 + 1800), 0), 1);
        vm.assertEq(market.job(id).end, T0 + 1800);
        vm.assertEq(creditOf(customer), uint256(MAX_DURATION - 1800) * 2 * PRICE / 3600);
        assertBooks(id);
    }

    /// @dev After its end a job can't be brought back to life, which would open its claim window anew.
    function test_AnEndedJobStaysEnded() public {
        JobId id = running();
        vm.warp(T0 + 3600);
        refused(id, abi.encodeWithSelector(IComputeMarketErrors.WrongStatus.selector, id, JobStatus.Ended));
    }
}
