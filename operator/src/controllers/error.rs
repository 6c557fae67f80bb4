//! Why a reconcile failed. Nothing is concluded from an error: the reconcile is retried.

use thiserror::Error;

use crate::network::NetworkError;

/// Why a reconcile failed. It is retried; nothing is concluded from it.
#[derive(Debug, Error)]
pub(crate) enum Error {
    /// The API server refused, or could not be reached.
    #[error("{what}: {error}")]
    Kubernetes { what: String, error: Box<kube::Error> },
    /// The chain could not be read.
    #[error("{0}")]
    Network(#[from] NetworkError),
    /// An object that this operator makes can't be written as JSON.
    #[error("an object can't be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// An endpoint shows less than another one did before.
    #[error("{0}")]
    Lagging(String),
    /// A look ended in the middle: a fault of the operator's own.
    #[error("the look ended in a fault of the operator's own, which its log tells: {0}")]
    Broken(String),
    /// Something that is needed can't be found out now.
    #[error("{0}")]
    Unknown(String),
    /// It was deleted while it was looked at.
    #[error("{0} is gone")]
    Gone(String),
    /// The operator stops before it has seen everything once.
    #[error("the operator is stopping")]
    Stopping,
    /// The resource has no namespace or uid: it does not come from an API server.
    #[error("the resource has no {0}")]
    Unnamed(&'static str),
}

/// Names what was tried when the API server refused.
pub(crate) trait Tried<T> {
    fn tried(self, what: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T> Tried<T> for Result<T, kube::Error> {
    fn tried(self, what: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|error| Error::Kubernetes { what: what(), error: Box::new(error) })
    }
}
