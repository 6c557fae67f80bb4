//! What a compute network is to the rest of the operator: orders to watch, facts to read, acts to ask for.
//!
//! Nothing here is durable. The chain is the record; [`Cursor`] says up to where its orders were seen, and whoever
//! watches keeps it. After a restart the callers look at cluster and chain again and ask again for what is missing:
//! an [`Act`] that was done already is found out in simulation and costs nothing.

mod act;
mod error;
pub mod evm;
mod gas_price;
mod observed;
mod order;
mod past;
mod queue;
mod spec;

pub use act::{Act, ActKey, ActState, Claim, OfferPost};
pub use error::{NetworkError, SpecError};
pub use evm::{AwsKeys, KmsKey, KmsSpec, Network, RemoteSigner, Wallet, WalletError, WalletKey};
pub use gas_price::WeiPerGas;
pub use hawser_evm::{Block, Head, StallLimit};
pub use hawser_market::{GpuSeconds, Job, JobStatus, Offer, OfferTerms, OrderRef, Token};
pub use observed::{Connection, Disconnected, Observed};
pub(crate) use order::order_ref;
pub use order::{Cursor, Order};
pub(crate) use past::stored;
pub use past::{Known, Past, Withdrawn};
pub use queue::Backlog;
pub use spec::{NetworkKind, NetworkSpec, RpcHeaders, UnknownKind};
pub(crate) use spec::{address, http_url};
