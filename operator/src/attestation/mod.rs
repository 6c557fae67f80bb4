//! Attested use: what the rest of the operator says about its jobs ([`Attestations::expect`]) and what the sidecars'
//! reports came to ([`Attestations::attested`]).
//!
//! A stream's way: `incoming` (a permit of the `pre_auth` limiter) -> `serve` -> `conversation` -> `enrol` (who is it?) ->
//! `intake` (`check`, then what `evidence_writer` holds is stored by `evidence`, then it counts) -> `registry` (what the
//! controllers read).
//!
//! Held in memory. Evidence lies in the object store before a report counts, and the newest voucher also stands in
//! the pod's termination message and in the job's status: after a restart all three give it back.

mod cards;
mod check;
mod conversation;
mod directives;
mod enrol;
mod entry;
mod evidence;
mod evidence_writer;
mod expected;
mod holders;
mod incoming;
mod index;
mod intake;
mod keys;
mod measure;
mod passes;
mod pre_auth;
mod refusal;
mod registry;
mod review;
mod seats;
mod serve;

pub use cards::DeadCard;
pub use evidence::{EvidenceStore, EvidenceStoreError, StoreFailure, StoreHealth};
pub use expected::{
    Attested, ExpectedJob, ExpectedMember, ExpectedPod, JobRef, MemberRef, Rejection, StartedJob, StreamHealth,
};
pub use measure::Measures;
pub use refusal::Refusal;
pub use registry::Attestations;
pub use review::{KubeTokenReviewer, ReviewError, Reviewed, TokenReviewer};
pub use serve::{ServeError, TlsPem, serve, serve_on, serve_renewed};
