//! Why a network can't be asked, or was made from fields that don't hold.

use thiserror::Error;

/// A field of a `DepinNetwork` that can't be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{field}: {value:?} is not {expected}")]
pub struct SpecError {
    /// The field's path in the resource.
    pub field: &'static str,
    /// What it holds.
    pub value: String,
    /// What it should hold.
    pub expected: &'static str,
}

/// Why a network gave no answer, in words that name who was asked. None of these says anything about a job: unknown is not
/// failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NetworkError {
    /// Nothing came, or nothing that can be read: it may the next time.
    #[error("{0}")]
    Unavailable(String),
    /// There is no token of this name: asking again won't find one either.
    #[error("{0}")]
    NotAToken(String),
    /// A name that this network can't have given.
    #[error("{0}")]
    Foreign(String),
}
