//! The words of the compute market, once for everybody who speaks them: operator, sidecar, command line and tests.
//!
//! Pure: no clock, no chain client, no Kubernetes. What is read from a chain or an API server becomes one of these types at
//! the edge, and from there on everybody means the same by it.
//!
//! | question | answer |
//! |---|---|
//! | Which offer, which job? | [`OfferId`], [`JobId`]: what the order locked stands in the job's id |
//! | Where does a job stand? | [`JobStatus`], [`Job`] |
//! | Whose is it? | [`OrderRef`], which a job's id proves |
//! | What is for sale? | [`OfferTerms`], [`Offer`] |
//! | How much was used? | [`GpuSeconds`], and the [`UsageVoucher`] that an attestor signs for it |
//! | How much is that? | [`JobId::deposit`], [`JobId::paid`], [`Token`], [`parse_units`], [`format_units`] |
//! | Why did it end? | [`end_reason`] |
//! | Why was it refused? | [`refusal::in_words`] for a call that reverts, [`SkipReason`] for an item of a batch |
//!
//! The ABI itself, generated from the contract's artifact, is [`hawser_contracts`].

mod amount;
pub mod end_reason;
mod gpu_seconds;
mod ids;
mod job;
mod offer;
mod order;
pub mod refusal;
mod skip_reason;
pub mod text;
mod voucher;
pub mod workload;

pub use amount::{AmountError, COIN_DECIMALS, Token, Units, format_units, parse_units};
pub use gpu_seconds::GpuSeconds;
pub use ids::{JobId, OfferId, ParseIdError, deposit, paid};
pub use job::{AttestorTail, Job, JobStatus, UnknownStatus, most_used, timestamp};
pub use offer::{Offer, OfferTerms};
pub use order::OrderRef;
pub use skip_reason::SkipReason;
pub use voucher::{UsageVoucher, eip712_domain, last_voucher, signed_voucher};
