//! What a compute network is to the rest of the operator: orders to watch, facts to read, actions to ask for.
//!
//! Controllers, settlement and metrics speak the words of this module. How a network names things, proves them and is paid is
//! its own: [`evm`] is one, and nothing outside of it knows a block's hash or a contract.
//!
//! Nothing here is durable. The network is the record; the cursor in [`NetworkStatus`] says up to where its orders were seen,
//! and whoever watches keeps it. After a restart the callers look at cluster and network again and ask again for what is
//! missing: a [`NetworkAction`] that was done already is found out and costs nothing.

mod action;
mod error;
pub mod evm;
mod ids;
mod job;
mod kind;
mod offer;
mod order;
mod requests;
mod start;
mod status;
mod token;

use std::{fmt, sync::Arc};

use futures::future::BoxFuture;
use hawser_attestation::MarketId;
use jiff::Timestamp;
use tokio::sync::broadcast;

pub use action::{ActionKey, ActionState, NetworkAction};
pub use error::{NetworkError, SpecError};
pub use hawser_market::{GpuSeconds, JobStatus, Units};
pub use ids::{AccountId, JobId, OfferId, On, TokenId, TransactionId};
pub use job::Job;
pub use kind::{NetworkKind, UnknownKind};
pub use offer::{Offer, OfferPost, OfferTerms};
pub use order::{Order, OrderRef};
pub use requests::{RequestCounter, RequestOutcome, Uncounted};
pub use start::{Known, OtherKinds, Prepared, Start, Wallet};
pub use status::{Advice, Backlog, Connection, Disconnected, Head, NetworkStatus, SignerFault};
pub use token::Token;

/// Takes orders over. Where it fails, the same orders come again.
pub type OrderHandler = Arc<dyn Fn(Vec<Order>) -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// What evidence and vouchers say a job is: they have one format, whatever the network (docs/reference/evidence.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// In whose EIP-712 domain vouchers are signed.
    pub market: MarketId,
    /// The 32 bytes that stand for the job.
    pub id: hawser_market::JobId,
}

/// When a network pays for attested use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payment {
    /// A claim at any time, for all use so far.
    Cumulative,
    /// One claim a job, once it is over; it closes the job.
    OnceAtTheEnd,
}

/// What transactions cost in units of a token; zero where that is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Costs {
    /// One claim.
    pub claim: Units,
    /// All that an order needs from its start to its end, with one claim.
    pub order: Units,
}

/// What never changes of a network in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// So many heights deep nothing is taken back.
    pub depth: u64,
    /// When it pays.
    pub payment: Payment,
    /// Longest card of an offer, in bytes.
    pub longest_card: usize,
    /// Most GPUs that it lets one order of an offer ask for.
    pub most_gpus: u16,
    /// What was sent, and is not done so many heights after nobody sends it any more, never will be.
    pub lapses_after: u64,
}

/// A network in use: one per `DepinNetwork`.
pub trait Network: fmt::Debug + Send + Sync {
    /// What never changes of it.
    fn profile(&self) -> Profile;

    /// Who sends to it: two networks must not share that.
    fn wallet(&self) -> Wallet;

    /// What was last seen of it.
    fn status(&self) -> NetworkStatus;

    /// The newest state that was ever seen: part of [`Self::status`].
    fn head(&self) -> Option<Head>;

    /// Its time: part of [`Self::status`].
    fn time_now(&self) -> Option<Timestamp>;

    /// What waits to be sent or mined.
    fn backlog(&self) -> Backlog;

    /// What evidence and vouchers say this job is. No other network may say the same of a job.
    fn subject(&self, job: &JobId) -> Result<Subject, NetworkError>;

    /// The offer that was ordered, where a job's name tells it.
    fn offer_of(&self, job: &JobId) -> Option<OfferId>;

    /// Name of the `ComputeJob` that the operator itself makes for a job: see [`Order::resource_name`].
    fn resource_name(&self, job: &JobId) -> String;

    /// Name of the offer with these terms.
    fn offer_id(&self, terms: &OfferTerms) -> Result<OfferId, SpecError>;

    /// What is paid now for sending to it, in units of a token.
    fn costs(&self, token: &Token) -> Costs;

    /// A job as the network holds it; [`JobStatus::None`] where there is none. That of a running job may be some seconds
    /// old, unless something has happened to it since; any other is the newest. Many who ask are answered with one request.
    fn job<'a>(&'a self, id: &'a JobId) -> BoxFuture<'a, Result<Job, NetworkError>>;

    /// An offer as it stands now, if it was ever posted.
    fn offer<'a>(&'a self, id: &'a OfferId) -> BoxFuture<'a, Result<Option<Offer>, NetworkError>>;

    /// The last second at which the network takes an order, if its end was announced.
    fn sunset(&self) -> BoxFuture<'_, Result<Option<Timestamp>, NetworkError>>;

    /// A token; read once.
    fn token<'a>(&'a self, id: &'a TokenId) -> BoxFuture<'a, Result<Token, NetworkError>>;

    /// Token units that the provider has earned and not withdrawn. What was read a moment ago is not read again.
    fn credit<'a>(&'a self, token: &'a TokenId) -> BoxFuture<'a, Result<Units, NetworkError>>;

    /// Asks for an action. Asking again is harmless, and needed after a restart.
    fn request(&self, action: NetworkAction);

    /// How far an action has come; none where it was not asked for, or is over since long.
    fn action(&self, key: &ActionKey) -> Option<ActionState>;

    /// Keys of actions whose state changed. A receiver that lags has missed some and looks at all.
    fn actions_changed(&self) -> broadcast::Receiver<ActionKey>;

    /// Hands each order for the provider's offers to `handler`, oldest first, at least once, until the network is stopped.
    /// The cursor in [`NetworkStatus`] moves on only after `handler` took them. Orders may come a second time.
    fn watch_orders(self: Arc<Self>, handler: OrderHandler) -> BoxFuture<'static, ()>;

    /// Resolves after it was told to stop, once what was in flight is done or a few seconds have passed.
    fn stopped(&self) -> BoxFuture<'_, ()>;
}
