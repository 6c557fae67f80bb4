//! Evidence in the object store: `<prefix>/<job id>/<attestor>/<000000>.jsonl`, read back after a restart, and how the store
//! does.

use std::sync::{Arc, Mutex, PoisonError};

use futures::TryStreamExt;
use hawser_attestation::{Attestor, EvidenceChain, Line, ParseLineError, evidence_path, evidence_prefix};
use hawser_market::JobId;
use jiff::Timestamp;
use object_store::{ObjectStore, ObjectStoreExt, path::Path};

use super::measure::Measures;
use crate::fence::{Fence, NotLeading};

/// A file of evidence is closed when the next line would make it longer, in bytes. The open one is written anew each
/// time, so this is what a write costs at most.
const MAX_FILE_BYTES: usize = 128 * 1024;

/// Where evidence lies: `<prefix>/<job id>/<attestor>/<000000>.jsonl`.
#[derive(Clone, Debug)]
pub struct EvidenceStore {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    public_url: String,
    fence: Fence,
    health: Arc<Mutex<StoreHealth>>,
    measures: Measures,
}

/// How the evidence store does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreHealth {
    /// When evidence was stored last, by this operator.
    pub stored_at: Option<Timestamp>,
    /// Since when it fails, if it does: nothing of a running job counts meanwhile.
    pub failing: Option<StoreFailure>,
}

/// A store that fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreFailure {
    /// When the first call that failed began.
    pub since: Timestamp,
    /// How many have failed since.
    pub times: u64,
    /// What the store said last.
    pub error: String,
}

impl StoreHealth {
    fn succeeded(&mut self, wrote: bool, now: Timestamp) {
        self.failing = None;
        if wrote {
            self.stored_at = Some(now);
        }
    }

    fn failed(&mut self, began: Timestamp, error: String) {
        let (since, times) = self.failing.take().map_or((began, 0), |failing| (failing.since, failing.times));
        self.failing = Some(StoreFailure { since, times: times + 1, error });
    }
}

/// Why the evidence store can't be used.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceStoreError {
    /// The address is not one of a store.
    #[error("evidence URL {url:?} is not s3://bucket/prefix or file:///path of a directory: {error}")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        error: String,
    },
    /// The store refused, or could not be reached.
    #[error("evidence store: {0}")]
    Store(#[from] object_store::Error),
    /// Another replica stores it now.
    #[error("evidence store: {0}")]
    NotLeading(#[from] NotLeading),
    /// What lies there is not what was stored.
    #[error("evidence {path} was changed in the store: {error}")]
    Changed {
        /// Which file.
        path: String,
        /// What is wrong with it.
        error: String,
    },
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
        Ok(Self::new(store.into(), prefix, public_url))
    }

    /// A store that is already open.
    pub fn new(store: Arc<dyn ObjectStore>, prefix: Path, public_url: &str) -> Self {
        let public_url = public_url.trim_end_matches('/').to_owned();
        let (fence, health, measures) = (Fence::always(), Arc::default(), Measures::default());
        Self { store, prefix, public_url, fence, health, measures }
    }

    /// The same among replicas: nothing is stored unless `fence` is open.
    #[must_use]
    pub fn fenced(self, fence: Fence) -> Self {
        Self { fence, ..self }
    }

    pub(super) fn measured(self, measures: Measures) -> Self {
        Self { measures, ..self }
    }

    /// How the store does now.
    pub fn health(&self) -> StoreHealth {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Remembers how a call came out that began then.
    fn note<T>(&self, began: Timestamp, wrote: bool, done: &Result<T, EvidenceStoreError>) {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        match done {
            Ok(_) => {
                let now = Timestamp::now();
                health.succeeded(wrote, now);
                if wrote {
                    self.measures.stored(now);
                }
            }
            Err(EvidenceStoreError::Store(error)) => {
                health.failed(began, error.to_string());
                self.measures.failed();
            }
            // What is wrong with one job's evidence says nothing of the store.
            Err(
                EvidenceStoreError::Changed { .. } | EvidenceStoreError::Url { .. } | EvidenceStoreError::NotLeading(_),
            ) => {}
        }
        self.measures.failing_since(health.failing.as_ref().map(|failing| failing.since));
    }

    /// Where a customer reads the evidence of a job: `<this>/<attestor>/<000000>.jsonl`.
    pub fn public_url(&self, job: JobId) -> String {
        format!("{}/{job}", self.public_url)
    }

    pub(super) async fn load(&self, job: JobId, attestor: Attestor) -> Result<Stored, EvidenceStoreError> {
        let began = Timestamp::now();
        let loaded = self.read_all(job, attestor).await;
        self.note(began, false, &loaded);
        loaded
    }

    async fn read_all(&self, job: JobId, attestor: Attestor) -> Result<Stored, EvidenceStoreError> {
        let directory = self.path(&evidence_prefix(job, attestor));
        let files: Vec<_> = self.store.list(Some(&directory)).map_ok(|file| file.location).try_collect().await?;
        let Some(last) = u32::try_from(files.len()).ok().and_then(|files| files.checked_sub(1)) else {
            return Ok(Stored::default());
        };
        let header = first_line(&self.read(job, attestor, 0).await?, &directory)?;
        let open = self.read(job, attestor, last).await?;
        let newest = open.trim_end().rsplit('\n').next().unwrap_or_default();
        let newest = parse(newest, &directory)?;
        let chain =
            if newest == header { EvidenceChain::open(&header) } else { EvidenceChain::resume(&header, &newest) };
        let chain = chain.map_err(|error| changed(&directory, &error))?;
        Ok(Stored { chain: Some(chain), file: last, bytes: open.into_bytes() })
    }

    pub(super) async fn write(&self, job: JobId, attestor: Attestor, file: &File) -> Result<(), EvidenceStoreError> {
        let path = self.path(&evidence_path(job, attestor, file.index));
        let began = Timestamp::now();
        // Also its retries: the next leader may have written more since.
        let written = self.fence.hold(self.store.put(&path, file.bytes.clone().into())).await?;
        let written = written.map(|_| ()).map_err(EvidenceStoreError::from);
        self.note(began, true, &written);
        written
    }

    async fn read(&self, job: JobId, attestor: Attestor, index: u32) -> Result<String, EvidenceStoreError> {
        let path = self.path(&evidence_path(job, attestor, index));
        let bytes = self.store.get(&path).await?.bytes().await?;
        String::from_utf8(bytes.to_vec()).map_err(|error| changed(&path, &error))
    }

    fn path(&self, below: &str) -> Path {
        below.split('/').fold(self.prefix.clone(), Path::join)
    }
}

fn first_line(text: &str, path: &Path) -> Result<Line, EvidenceStoreError> {
    parse(text.split('\n').next().unwrap_or_default(), path)
}

fn parse(text: &str, path: &Path) -> Result<Line, EvidenceStoreError> {
    Line::parse(text).map_err(|error: ParseLineError| changed(path, &error))
}

fn changed(path: &Path, error: &dyn std::error::Error) -> EvidenceStoreError {
    EvidenceStoreError::Changed { path: path.to_string(), error: error.to_string() }
}

/// One file as it is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct File {
    index: u32,
    bytes: Vec<u8>,
}

/// An attestor's evidence as the store holds it: its head, and the file that the next line goes to.
#[derive(Clone, Debug, Default)]
pub(super) struct Stored {
    pub(super) chain: Option<EvidenceChain>,
    file: u32,
    bytes: Vec<u8>,
}

impl Stored {
    /// The same with these lines added, and the files that make it so.
    pub(super) fn with(&self, chain: EvidenceChain, lines: &[Line]) -> (Self, Vec<File>) {
        let mut next = Self { chain: Some(chain), file: self.file, bytes: self.bytes.clone() };
        let mut files = Vec::new();
        for line in lines {
            let line = format!("{line}\n");
            if !next.bytes.is_empty() && next.bytes.len() + line.len() > MAX_FILE_BYTES {
                files.push(next.open_file());
                next.file += 1;
                next.bytes.clear();
            }
            next.bytes.extend_from_slice(line.as_bytes());
        }
        files.push(next.open_file());
        (next, files)
    }

    pub(super) fn next_sequence(&self) -> u64 {
        self.chain.as_ref().map_or(0, EvidenceChain::next_sequence)
    }

    /// The newest line; `None` where nothing is stored, or it can't be read.
    pub(super) fn newest(&self) -> Option<Line> {
        let text = std::str::from_utf8(&self.bytes).ok()?;
        Line::parse(text.trim_end().rsplit('\n').next()?).ok()
    }

    fn open_file(&self) -> File {
        File { index: self.file, bytes: self.bytes.clone() }
    }
}

#[cfg(test)]
#[path = "evidence_tests.rs"]
pub(super) mod tests;
