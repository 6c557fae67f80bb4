use std::sync::Arc;

use object_store::{ObjectStore, path::Path};

/// Where evidence lies: `<prefix>/<job id>/<attestor>/<000000>.jsonl`.
#[derive(Clone, Debug)]
pub struct EvidenceStore {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    public_url: String,
}

/// Why the evidence store can't be used.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceStoreError {
    /// The address is not one of a store.
    #[error("evidence URL {url:?} is not s3://bucket/prefix or file:///path: {error}")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        error: String,
    },
    /// The store refused, or could not be reached.
    #[error("evidence store: {0}")]
    Store(#[from] object_store::Error),
}

impl EvidenceStore {
    /// Opens `s3://bucket/prefix` (settings from the `AWS_*` environment) or `file:///path`. `public_url` is where
    /// customers read the same files.
    pub fn open(url: &str, public_url: &str) -> Result<Self, EvidenceStoreError> {
        let refuse = |error: String| EvidenceStoreError::Url { url: url.to_owned(), error };
        let parsed = reqwest::Url::parse(url).map_err(|e| refuse(e.to_string()))?;
        let aws = std::env::vars()
            .filter(|(name, _)| name.starts_with("AWS_"))
            .map(|(name, value)| (name.to_lowercase(), value));
        let (store, prefix) = object_store::parse_url_opts(&parsed, aws).map_err(|e| refuse(e.to_string()))?;
        Ok(Self { store: store.into(), prefix, public_url: public_url.trim_end_matches('/').to_owned() })
    }
}
