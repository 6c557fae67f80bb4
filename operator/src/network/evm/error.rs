//! Why the chain gave no answer.

use std::borrow::Cow;

use alloy::transports::TransportError;
use thiserror::Error;

/// Why a network gave no answer. None of these says anything about a job: unknown is not failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EvmError {
    /// No endpoint can be used now.
    #[error("no endpoint of the network can be used: {0}")]
    Unavailable(String),
    /// An endpoint answered with an error.
    #[error("{endpoint} answered {method} with error {code}: {message}")]
    Answer {
        /// The endpoint, without secrets.
        endpoint: String,
        /// JSON-RPC method.
        method: Cow<'static, str>,
        /// JSON-RPC error code.
        code: i64,
        /// The endpoint's words.
        message: String,
        /// Revert data, where a contract gave some.
        revert: Option<alloy::primitives::Bytes>,
    },
    /// An endpoint answered with something that can't be read.
    #[error("{endpoint} returned an unreadable response to {method}: {message}")]
    Malformed {
        /// The endpoint, without secrets.
        endpoint: String,
        /// JSON-RPC method, or the contract's function.
        method: Cow<'static, str>,
        /// What is wrong with it.
        message: String,
    },
    /// There is no ERC-20 token at an address: another endpoint won't find one either.
    #[error("there is no ERC-20 token at {0} on this chain: it does not answer decimals()")]
    NotAToken(alloy::primitives::Address),
    /// There is no market of this release at an address: another endpoint won't find one either.
    #[error(
        "the contract at {0} is not the market that this operator works with: where it is one of an earlier release, run that \
         until its jobs are settled, and make a new network with a market of this release"
    )]
    OtherMarket(alloy::primitives::Address),
}

impl From<hawser_evm::Error> for EvmError {
    fn from(error: hawser_evm::Error) -> Self {
        match error {
            hawser_evm::Error::Unavailable(why) => Self::Unavailable(why.to_string()),
            hawser_evm::Error::Answer { endpoint, method, code, message, revert } => {
                Self::Answer { endpoint, method, code, message, revert }
            }
            hawser_evm::Error::Malformed { endpoint, method, message } => Self::Malformed { endpoint, method, message },
        }
    }
}

impl From<TransportError> for EvmError {
    fn from(error: TransportError) -> Self {
        hawser_evm::Error::from(error).into()
    }
}
