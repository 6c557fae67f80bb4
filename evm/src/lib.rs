//! An EVM chain, through whichever of its JSON-RPC endpoints can be used.
//!
//! A [`Pool`] checks each endpoint before it uses it (chain, genesis, clock, the contract that is to be there), asks none more
//! often than it lets itself be asked, leaves one that fails for the next, and asks a second one where the first is slow. All
//! of that happens in the transport: above it stand alloy's own providers, [`Pool::provider`] and its like, and with them
//! its typed calls and bindings.
//!
//! | question | answer |
//! |---|---|
//! | Which endpoints, and what must be there? | [`Options`], [`Expected`] |
//! | How long is a request waited for, whose turn comes first? | [`ClientProfile`], [`Class`] |
//! | Why was there no answer? | [`Error`], and for each endpoint its [`Trouble`] |
//! | How are many blocks' logs read? | [`LogPages`], over a [`BlockSpan`] that halves where it is refused |
//! | Does the chain move? | [`Watchdog`] over [`Head`]s |
//! | What became of the requests? | each is reported to a [`Recorder`] |

mod beat;
mod block;
mod block_range;
mod budget;
mod endpoint;
mod error;
mod examine;
mod label;
pub mod methods;
mod options;
mod pool;
mod price;
mod recorder;
mod token;
mod transport;
mod watchdog;
mod wire;

pub use block::{Block, Head};
pub use block_range::{BlockSpan, LogPages};
pub use budget::Class;
pub use error::{Error, FailureKind, Reason, Trouble, Unavailable};
pub use label::label;
pub use options::{ClientProfile, EndpointOptions, Expected, Names, Options};
pub use pool::Pool;
pub use price::gas_price_of;
pub use recorder::{CallOutcome, Recorder};
pub use token::{TokenMetadata, token_metadata};
pub use watchdog::{HeadHealth, StallLimit, Watchdog};
