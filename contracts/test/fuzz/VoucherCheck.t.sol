// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {Hashes} from "../../src/libraries/Hashes.sol";
import {VoucherCheck, VoucherCheckLibrary} from "../../src/libraries/VoucherCheck.sol";
import {JobId} from "../../src/types/JobId.sol";
import {JobState, JobStateLibrary} from "../../src/types/JobState.sol";
import {OfferId} from "../../src/types/OfferId.sol";
import {Use, UseLibrary} from "../../src/types/Use.sol";
import {Voucher} from "../../src/types/Voucher.sol";
import {vm} from "../support/Vm.sol";

OfferId constant OFFER = OfferId.wrap("offer");

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
            Voucher calldata voucher = vouchers[i];
            uint256 place;
            assembly ("memory-safe") {
                place := voucher
            }
            JobState state = JobStateLibrary.open(type(uint64).max, 7, 7).withStart(uint96(uint160(attestors[i])), 7);
            answers[i] = words.isSigned(voucher.use.job(OFFER), voucher.use.gpuSeconds(), place, state);
        }
        return answers;
    }
}

/// @notice The market's own check of signatures answers as OpenZeppelin's does.
contract VoucherCheckTest {
    bytes32 private constant DOMAIN = keccak256("domain");
    uint256 private constant N = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;
    uint256 private constant LOW = type(uint256).max >> 1;
    uint256 private constant HIGHEST_S = N / 2;
    /// @dev An r that is the first coordinate of a point: the generator's.
    bytes32 private constant ON_CURVE = 0x79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798;

    Checker private immutable checker = new Checker(DOMAIN);

    function digest(Voucher memory v) private pure returns (bytes32) {
        return MessageHashUtils.toTypedDataHash(
            DOMAIN, Hashes.usageVoucher(v.use.job(OFFER), v.use.gpuSeconds(), v.evidenceRoot)
        );
    }

    function expected(Voucher memory v, address attestor) private pure returns (bool) {
        (address signer, ECDSA.RecoverError fault,) = ECDSA.tryRecover(digest(v), v.r, v.vs);
        return fault == ECDSA.RecoverError.NoError && signer == attestor;
    }

    function sign(uint256 key, bytes32 id, uint64 count, bytes32 root) private pure returns (Voucher memory v) {
        v = Voucher(UseLibrary.pack(JobId.wrap(id), count), root, 0, 0);
        (v.r, v.vs) = vm.signCompact(key, digest(v));
    }

    /// @return last The last of the answers.
    function compare(Voucher[] memory vouchers, address[] memory attestors) private view returns (bool last) {
        bool[] memory answers = checker.check(vouchers, attestors);
        for (uint256 i = 0; i < answers.length; ++i) {
            last = answers[i];
            vm.assertEq(last ? 1 : 0, expected(vouchers[i], attestors[i]) ? 1 : 0, "another answer");
        }
    }

    /// @dev A good one, then each field changed, then a good one again, and one that nobody can have signed right after it.
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
        vouchers[1].use = Use.wrap(Use.unwrap(vouchers[1].use) ^ bytes32(1 << (bit % 192)));
        vouchers[2].use = Use.wrap(Use.unwrap(vouchers[2].use) ^ bytes32(1 << (192 + bit % 64)));
        vouchers[3].evidenceRoot ^= flip;
        vouchers[4].r ^= flip;
        vouchers[5].vs ^= flip;
        attestors[6] = address(0);
        vouchers[8].r = 0;
        vm.assertTrue(expected(vouchers[0], attestors[0]) && expected(vouchers[7], attestors[7]));
        compare(vouchers, attestors);
    }

    /// @dev Any words, held against whoever the curve says has signed them. Half of them have an s on either side of the
    /// limit: above it the curve has a signer, and the answer is no all the same.
    function testFuzz_AnyWordsAnswerAsOpenZeppelinDoes(bytes32 id, bytes32 r, bytes32 vs, bool near) public view {
        if (near) vs = bytes32((uint256(vs) & (1 << 255)) | (LOW - (uint256(vs) & ((1 << 128) - 1))));
        compareAtTheLimit(id, r, vs);
    }

    function test_AnSAboveTheLimitIsRefusedAlthoughTheCurveHasASigner() public view {
        for (uint256 s = HIGHEST_S - 3; s <= HIGHEST_S + 3; ++s) {
            bool answer = compareAtTheLimit("job", ON_CURVE, bytes32(s));
            vm.assertTrue(answer == (s <= HIGHEST_S));
        }
    }

    function compareAtTheLimit(bytes32 id, bytes32 r, bytes32 vs) private view returns (bool) {
        Voucher[] memory vouchers = new Voucher[](1);
        address[] memory attestors = new address[](1);
        vouchers[0] = Voucher(UseLibrary.pack(JobId.wrap(id), 7), 0, r, vs);
        attestors[0] = ecrecover(digest(vouchers[0]), uint8(uint256(vs) >> 255) + 27, r, bytes32(uint256(vs) & LOW));
        return compare(vouchers, attestors);
    }

    /// @dev Of the last 96 bits, which are all that a job keeps of an attestor: one that is not compared is half of the work
    /// of grinding a key that signs for it.
    function test_AnAttestorThatDiffersInOneOfThe96BitsIsAnother() public view {
        Voucher[] memory vouchers = new Voucher[](161);
        address[] memory attestors = new address[](161);
        for (uint256 bit = 0; bit < 161; ++bit) {
            vouchers[bit] = sign(7, "job", 1, "root");
            attestors[bit] = bit == 160 ? vm.addr(7) : address(uint160(vm.addr(7)) ^ uint160(1 << bit));
        }
        bool[] memory answers = checker.check(vouchers, attestors);
        for (uint256 bit = 0; bit < 161; ++bit) {
            vm.assertTrue(answers[bit] == (bit >= 96));
        }
    }

    /// @dev Where nothing can be recovered the answer is no, also to one who asks for the zero address.
    function test_NobodyIsNoSigner() public view {
        Voucher[] memory vouchers = new Voucher[](6);
        vouchers[0] = Voucher(UseLibrary.pack(JobId.wrap(0), 1), 0, 0, 0);
        vouchers[1] = Voucher(UseLibrary.pack(JobId.wrap(0), 1), 0, bytes32(N), bytes32(uint256(1)));
        vouchers[2] = Voucher(UseLibrary.pack(JobId.wrap(0), 1), 0, bytes32(uint256(1)), 0);
        vouchers[3] = Voucher(UseLibrary.pack(JobId.wrap(0), 1), 0, bytes32(type(uint256).max), bytes32(uint256(1)));
        vouchers[4] = Voucher(UseLibrary.pack(JobId.wrap(0), 1), 0, bytes32(uint256(5)), bytes32(uint256(1)));
        vouchers[5] = Voucher(UseLibrary.pack(JobId.wrap(0), 1), 0, bytes32(uint256(1)), bytes32(type(uint256).max));
        bool[] memory answers = checker.check(vouchers, new address[](6));
        for (uint256 i = 0; i < answers.length; ++i) {
            vm.assertFalse(answers[i]);
        }
        compare(vouchers, new address[](6));
    }
}
