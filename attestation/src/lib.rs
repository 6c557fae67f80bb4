//! What an attestor signs, the hash chain over its evidence, and how anybody checks both.
//!
//! Pure: no clock, no network, no files. The sidecar writes evidence with it, the operator checks each line as it
//! comes, and a customer checks the whole: all three by the same code.
//!
//! # The evidence of a job
//! JSON lines. Each line is `{"body":"...","signature":"0x..."}`, where `body` is the exact text that is hashed, so
//! that nobody has to agree on one way to write JSON. Line 0 of an attestor is its [`Header`], then come
//! [`Report`]s 1, 2, 3 ... The chain is `root_n = keccak256(root_{n-1} || keccak256(body_n))` with a root of 32 zero
//! bytes before the header. The signature is the attestor's over the EIP-712
//! `UsageVoucher(jobId, gpuSeconds, root_n)` in the market's domain: each line is a voucher that could be claimed.

mod account;
mod chain;
mod finding;
mod format;
mod gaps;
mod line;
mod market;
mod pass;
mod path;
mod proof;
mod reach;
mod reader;
mod root;
mod signature;
mod strict;
mod summary;
mod termination;
mod verify;
mod voucher;

pub use account::{Attestor, AttestorKey, Digest, digest};
pub use chain::{ChainError, EvidenceChain, TOLERANCE};
pub use finding::{Finding, FindingKind};
pub use format::{Tier, Unknown, Version};
pub use line::{Body, GpuSample, Header, Line, MAX_LINE_BYTES, Nvml, ParseLineError, Report};
pub use market::MarketId;
pub use pass::{Knock, Pass};
pub use path::{attestor_folder, evidence_file, evidence_path, evidence_prefix};
pub use proof::session_proof_hash;
pub use reach::Reach;
pub use reader::{Reader, Wanted};
pub use root::EvidenceRoot;
pub use signature::{InvalidSignature, VoucherSignature};
pub use summary::{GpuSummary, SegmentSummary, Spread, Summary, Vouched};
pub use termination::{MAX_TERMINATION_BYTES, TerminationError, TerminationMessage};
pub use verify::{EvidenceError, MAX_EVIDENCE_BYTES, verify};
pub use voucher::{SignError, SignedVoucher};
