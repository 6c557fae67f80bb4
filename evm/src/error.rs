//! Why there is no answer.

use std::{borrow::Cow, fmt};

use alloy::{
    primitives::Bytes,
    transports::{RpcError, TransportError, TransportErrorKind},
};
use thiserror::Error;

use crate::endpoint::Endpoint;

/// What is wrong with an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// It was not tried yet.
    Connecting,
    /// It does not answer, or not with what was asked for.
    Unreachable,
    /// Its newest block has been the same for too long, or has a time that can't be.
    HeadStalled,
    /// There is no contract where one is to be.
    NoContract,
    /// It serves another chain.
    WrongChain,
}

/// Why an endpoint is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The kind of it.
    pub reason: Reason,
    /// The same in words.
    pub message: String,
}

impl Trouble {
    pub(crate) fn unreachable(message: impl Into<String>) -> Self {
        Self { reason: Reason::Unreachable, message: message.into() }
    }
}

/// Why no endpoint can be used: each that is known to be in trouble, by its label.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unavailable(pub Vec<(String, Trouble)>);

impl Unavailable {
    pub(crate) fn of(endpoint: &Endpoint, trouble: Trouble) -> Self {
        Self(vec![(endpoint.label.clone(), trouble)])
    }

    /// The reason that tells a person most: on a wrong chain somebody must act, a dead endpoint can only be waited for.
    pub fn reason(&self) -> Reason {
        self.0.iter().map(|(_, trouble)| trouble.reason).max().unwrap_or(Reason::Connecting)
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (endpoint, trouble)) in self.0.iter().enumerate() {
            let and = if index == 0 { "" } else { "; " };
            write!(f, "{and}{endpoint}: {}", trouble.message)?;
        }
        Ok(())
    }
}

/// Why a request has no result.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// No endpoint can be used now.
    #[error("no endpoint can be used: {0}")]
    Unavailable(Unavailable),
    /// An endpoint answered with an error.
    #[error("{endpoint} answers {method} with error {code}: {message}")]
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
        revert: Option<Bytes>,
    },
    /// An endpoint answered with something that can't be read.
    #[error("{endpoint} answers {method} with what can't be read: {message}")]
    Malformed {
        /// The endpoint, without secrets.
        endpoint: String,
        /// JSON-RPC method.
        method: Cow<'static, str>,
        /// What is wrong with it.
        message: String,
    },
}

/// The words of a transport under which there is no pool name no endpoint: there they are all that is known.
impl From<TransportError> for Error {
    fn from(error: TransportError) -> Self {
        let malformed = |message: String| Self::Malformed {
            endpoint: "the endpoint".to_owned(),
            method: "a request".into(),
            message,
        };
        match error {
            RpcError::Transport(TransportErrorKind::Custom(why) | TransportErrorKind::NonRetryable(why)) => {
                why.downcast::<Self>().map_or_else(|why| malformed(why.to_string()), |error| *error)
            }
            RpcError::ErrorResp(answer) => Self::Answer {
                endpoint: "the endpoint".to_owned(),
                method: "a request".into(),
                code: answer.code,
                message: answer.message.to_string(),
                revert: answer.as_revert_data(),
            },
            // The text is the endpoint's, and can be long.
            RpcError::DeserError { err, .. } => malformed(err.to_string()),
            other => malformed(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_chain_is_told_before_a_dead_endpoint() {
        use Reason::{Connecting, HeadStalled, NoContract, Unreachable, WrongChain};
        let trouble = |reason, message: &str| Trouble { reason, message: message.to_owned() };
        let mut all = Unavailable(Vec::new());
        for reason in [Connecting, Unreachable, HeadStalled, NoContract, WrongChain] {
            all.0.insert(0, ("a".to_owned(), trouble(reason, "x")));
            assert_eq!(all.reason(), reason);
        }
        all.0.truncate(2);
        assert_eq!(all.to_string(), "a: x; a: x");
    }
}
