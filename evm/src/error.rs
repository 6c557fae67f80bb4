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

/// What an endpoint did instead of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// An HTTP status that is none of success.
    Status(u16),
    /// It lets no more requests through, with this HTTP status or in words of its own.
    Limited(Option<u16>),
    /// No connection could be made: the request was not sent.
    NoConnection,
    /// The connection broke off.
    NoAnswer,
    /// It took longer than anybody waits.
    TimedOut,
    /// It answered with what is not JSON-RPC, or not what the method returns.
    Garbage,
}

impl FailureKind {
    /// Whether the same request may well be answered a moment later.
    pub(crate) const fn passes(self) -> bool {
        matches!(self, Self::Status(502..=504) | Self::NoConnection | Self::NoAnswer)
    }

    /// Whether the endpoint may have done what it was asked for all the same.
    pub(crate) const fn may_have_been_heard(self) -> bool {
        matches!(self, Self::Status(500..) | Self::NoAnswer | Self::TimedOut | Self::Garbage)
    }
}

/// Why an endpoint is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The kind of it.
    pub reason: Reason,
    /// The same in words, which may be the endpoint's own.
    pub message: String,
    /// What it did, where it was asked in vain.
    pub failure: Option<FailureKind>,
}

impl Trouble {
    pub(crate) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), failure: None }
    }

    pub(crate) fn failure(failure: FailureKind, message: impl Into<String>) -> Self {
        Self { failure: Some(failure), ..Self::new(Reason::Unreachable, message) }
    }
}

/// Why no endpoint can be used: each that is known to be in trouble, by its label.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unavailable(pub Vec<(String, Trouble)>);

impl Unavailable {
    pub(crate) fn of(endpoint: &Endpoint, trouble: Trouble) -> Self {
        Self(vec![(endpoint.label.clone(), trouble)])
    }

    /// Says of an endpoint in any case what is wrong with it, though somebody else has found it well meanwhile.
    pub(crate) fn or(self, endpoint: &Endpoint, trouble: Trouble) -> Self {
        if self.0.is_empty() { Self::of(endpoint, trouble) } else { self }
    }

    pub(crate) fn is_of(&self, endpoint: &Endpoint) -> bool {
        self.0.iter().any(|(label, _)| *label == endpoint.label)
    }

    pub(crate) fn passes(&self) -> bool {
        self.0.iter().any(|(_, trouble)| trouble.failure.is_some_and(FailureKind::passes))
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
        revert: Option<Bytes>,
    },
    /// An endpoint answered with something that can't be read.
    #[error("{endpoint} returned an unreadable response to {method}: {message}")]
    Malformed {
        /// The endpoint, without secrets.
        endpoint: String,
        /// JSON-RPC method.
        method: Cow<'static, str>,
        /// What is wrong with it.
        message: String,
    },
}

impl Error {
    /// What a contract's revert gave.
    pub const fn revert(&self) -> Option<&Bytes> {
        match self {
            Self::Answer { revert, .. } => revert.as_ref(),
            Self::Unavailable(_) | Self::Malformed { .. } => None,
        }
    }
}

/// What comes from above the pool, as an answer that alloy can't read, names no endpoint.
impl From<&TransportError> for Error {
    fn from(error: &TransportError) -> Self {
        let malformed = |message: String| Self::Malformed {
            endpoint: "an endpoint".to_owned(),
            method: "a request".into(),
            message,
        };
        match error {
            RpcError::Transport(TransportErrorKind::Custom(why) | TransportErrorKind::NonRetryable(why)) => {
                why.downcast_ref::<Self>().cloned().unwrap_or_else(|| malformed(why.to_string()))
            }
            RpcError::ErrorResp(answer) => Self::Answer {
                endpoint: "an endpoint".to_owned(),
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

impl From<TransportError> for Error {
    fn from(error: TransportError) -> Self {
        Self::from(&error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_in_a_moment_is_told_from_what_lasts() {
        let passing = [
            FailureKind::Status(502),
            FailureKind::Status(503),
            FailureKind::Status(504),
            FailureKind::NoConnection,
            FailureKind::NoAnswer,
        ];
        let lasting = [400, 401, 404, 500].map(FailureKind::Status);
        // Who was waited for in vain, or asked again and again, is not asked again at once.
        let others =
            [FailureKind::TimedOut, FailureKind::Garbage, FailureKind::Limited(Some(429)), FailureKind::Limited(None)];
        assert!(passing.into_iter().all(FailureKind::passes));
        assert!(!lasting.into_iter().chain(others).any(FailureKind::passes));
    }

    #[test]
    fn a_wrong_chain_is_told_before_a_dead_endpoint() {
        use Reason::{Connecting, HeadStalled, NoContract, Unreachable, WrongChain};
        let mut all = Unavailable(Vec::new());
        for reason in [Connecting, Unreachable, HeadStalled, NoContract, WrongChain] {
            all.0.insert(0, ("a".to_owned(), Trouble::new(reason, "x")));
            assert_eq!(all.reason(), reason);
        }
        all.0.truncate(2);
        assert_eq!(all.to_string(), "a: x; a: x");
    }
}
