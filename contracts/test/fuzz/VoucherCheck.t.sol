// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {Hashes} from "../../src/libraries/Hashes.sol";
import {VoucherCheck, VoucherCheckLibrary} from "../../src/libraries/VoucherCheck.sol";
import {JobId} from "../../src/types/JobId.sol";
import {Voucher} from "../../src/types/Voucher.sol";
import {vm} from "../support/Vm.sol";

contract Checker {
    bytes32 private immutable domain;

    constructor(bytes32 domain_) {
        domain = domain_;
    }

    /// @dev All of them in one batch, because a check must leave nothing behind for the next one.
    function check(Voucher[] calldata vouchers, address[] calldata attestors) external view returns (bool[] memory) {
        VoucherCheck words = VoucherCheckLibrary.prepare(domain);
        bool[] memory answers = new bool[](vouchers.length);
        for (uint256 i = 0; i < vouchers.length; ++i) {
            answers[i] = words.isSigned(vouchers[i], attestors[i]);
        }
        return answers;
    }
}

/// @notice The market's own check of signatures answers as OpenZeppelin's does.
contract VoucherCheckTest {
    bytes32 private constant DOMAIN = keccak256("domain");
    uint256 private constant N = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;
    uint256 private constant LOW = type(uint256).max >> 1;

    Checker private immutable checker = new Checker(DOMAIN);

    function digest(Voucher memory v) private pure returns (bytes32) {
        return MessageHashUtils.toTypedDataHash(DOMAIN, Hashes.usageVoucher(v.jobId, v.gpuSeconds, v.evidenceRoot));
    }

    function expected(Voucher memory v, address attestor) private pure returns (bool) {
        (address signer, ECDSA.RecoverError fault,) = ECDSA.tryRecover(digest(v), v.r, v.vs);
        return fault == ECDSA.RecoverError.NoError && signer == attestor;
    }

    function sign(uint256 key, bytes32 id, uint64 count, bytes32 root) private pure returns (Voucher memory v) {
        v = Voucher(JobId.wrap(id), count, root, 0, 0);
        (v.r, v.vs) = vm.signCompact(key, digest(v));
    }

    function compare(Voucher[] memory vouchers, address[] memory attestors) private view {
        bool[] memory answers = checker.check(vouchers, attestors);
        for (uint256 i = 0; i < answers.length; ++i) {
            vm.assertEq(answers[i] ? 1 : 0, expected(vouchers[i], attestors[i]) ? 1 : 0, "another answer");
        }
    }

    /// @dev A good one, then each field changed, then a good one again.
    function testFuzz_ItAnswersAsOpenZeppelinDoes(uint256 key, bytes32 id, uint64 count, bytes32 root, uint256 bit)
        public
        view
    {
        key = key % (N - 1) + 1;
        Voucher[] memory vouchers = new Voucher[](9);
        address[] memory attestors = new address[](9);
        for (uint256 i = 0; i < 9; ++i) {
            vouchers[i] = sign(key, id, count, root);
            attestors[i] = vm.addr(key);
        }
        bytes32 flip = bytes32(1 << (bit % 256));
        vouchers[1].jobId = JobId.wrap(id ^ flip);
        vouchers[2].gpuSeconds ^= uint64(1 << (bit % 64));
        vouchers[3].evidenceRoot ^= flip;
        vouchers[4].r ^= flip;
        vouchers[5].vs ^= flip;
        uint256 vs = uint256(vouchers[6].vs);
        vouchers[6].vs = bytes32(((vs >> 255) ^ 1) << 255 | (N - (vs & LOW)));
        attestors[7] = address(0);
        vm.assertTrue(expected(vouchers[0], attestors[0]) && expected(vouchers[8], attestors[8]));
        compare(vouchers, attestors);
    }

    function testFuzz_AnyWordsAnswerAsOpenZeppelinDoes(bytes32 id, bytes32 r, bytes32 vs, bool low) public view {
        Voucher[] memory vouchers = new Voucher[](2);
        address[] memory attestors = new address[](2);
        // Half of all s are high: the low ones get as far as the curve.
        if (low) vs = bytes32(uint256(vs) & (1 << 255 | LOW >> 1));
        vouchers[0] = vouchers[1] = Voucher(JobId.wrap(id), 7, 0, r, vs);
        (attestors[0],,) = ECDSA.tryRecover(digest(vouchers[0]), r, vs);
        compare(vouchers, attestors);
    }

    /// @dev Where nothing can be recovered the answer is no, also to one who asks for the zero address.
    function test_NobodyIsNoSigner() public view {
        Voucher[] memory vouchers = new Voucher[](6);
        vouchers[0] = Voucher(JobId.wrap(0), 1, 0, 0, 0);
        vouchers[1] = Voucher(JobId.wrap(0), 1, 0, bytes32(N), bytes32(uint256(1)));
        vouchers[2] = Voucher(JobId.wrap(0), 1, 0, bytes32(uint256(1)), 0);
        vouchers[3] = Voucher(JobId.wrap(0), 1, 0, bytes32(type(uint256).max), bytes32(uint256(1)));
        vouchers[4] = Voucher(JobId.wrap(0), 1, 0, bytes32(uint256(5)), bytes32(uint256(1)));
        vouchers[5] = Voucher(JobId.wrap(0), 1, 0, bytes32(uint256(1)), bytes32(type(uint256).max));
        bool[] memory answers = checker.check(vouchers, new address[](6));
        for (uint256 i = 0; i < answers.length; ++i) {
            vm.assertFalse(answers[i]);
        }
        compare(vouchers, new address[](6));
    }
}
