//! What a compute network is to the rest of the operator: orders to watch, facts to read, actions to ask for.
//!
//! Nothing here is durable. The chain is the record; [`Cursor`] says up to where its orders were seen, and whoever
//! watches keeps it. After a restart the callers look at cluster and chain again and ask again for what is missing:
//! an [`NetworkAction`] that was done already is found out in simulation and costs nothing.

mod action;
mod error;
pub mod evm;
mod gas_price;
mod status;
mod order;
mod checkpoint;
mod queue;
mod spec;

pub use action::{NetworkAction, ActionKey, ActionState, Claim, OfferPost};
pub use error::{NetworkError, SpecError};
pub use evm::{AwsKeys, KmsKey, KmsSpec, Network, RemoteSigner, Wallet, WalletError, WalletKey};
pub use gas_price::WeiPerGas;
pub use hawser_evm::{Block, Head, StallLimit};
pub use hawser_market::{GpuSeconds, Job, JobStatus, Offer, OfferTerms, OrderRef, Token};
pub use status::{Connection, Disconnected, NetworkStatus};
pub(crate) use order::order_ref;
pub use order::{Cursor, Order};
pub(crate) use checkpoint::stored;
pub use checkpoint::{Known, Checkpoint, Withdrawn};
pub use queue::Backlog;
pub use spec::{NetworkKind, NetworkSpec, RpcHeaders, UnknownKind};
pub(crate) use spec::{address, http_url};
