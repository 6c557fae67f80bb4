//! Attested use: what the rest of the operator says about its jobs ([`Attestations::expect`]) and what the sidecars'
//! reports came to ([`Attestations::attested`]).
//!
//! A stream's way: `incoming` (a seat among `peers`) -> `serve` -> `conversation` -> `enrol` (who is it?) -> `intake` (`check`, then `evidence`
//! stores, then it counts) -> `registry` (what the controllers read).
//!
//! Held in memory. Evidence lies in the object store before a report counts, and the newest voucher also stands in
//! the pod's termination message and in the job's status: after a restart all three give it back.

mod check;
mod conversation;
mod directives;
mod enrol;
mod evidence;
mod expected;
mod incoming;
mod intake;
mod peers;
mod refusal;
mod registry;
mod review;
mod serve;

pub use evidence::{EvidenceStore, EvidenceStoreError};
pub use expected::{Attested, ExpectedJob, ExpectedPod, Heard, JobRef, Rejection, StartedJob};
pub use refusal::Refusal;
pub use registry::Attestations;
pub use review::{AUDIENCE, KubeTokenReviewer, ReviewError, Reviewed, TokenReviewer};
pub use serve::{ServeError, TlsPem, serve, serve_on, serve_renewed};
