//! What meter must still know after its container was restarted, in a volume of the pod.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use alloy::primitives::B256;
use hawser_attestation::{ChainError, Pass};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    evidence::{Evidence, EvidenceToStore, StoredEvidence},
    outage::Outages,
    session::Restored,
};
use crate::started::MARKER;

const FILE: &str = "journal";

/// meter's memory in the pod's own memory volume: it outlives meter's container, not the pod.
#[derive(Debug)]
pub(crate) struct Journal {
    directory: PathBuf,
}

/// Why the journal can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JournalError {
    #[error("meter's journal {path}: {error}")]
    File { path: PathBuf, error: io::Error },
    #[error("meter's journal {path} is damaged: {error}")]
    Chain { path: PathBuf, error: ChainError },
}

#[derive(Deserialize)]
struct Written {
    enrolled: bool,
    #[serde(default)]
    pass: Option<B256>,
    begin: Option<Timestamp>,
    #[serde(default)]
    outages: Outages,
    evidence: Option<StoredEvidence>,
}

/// The same where it lies: after an outage it is long, and a copy would cost as much again.
#[derive(Serialize)]
struct Writing<'a> {
    enrolled: bool,
    pass: Option<B256>,
    begin: Option<Timestamp>,
    outages: &'a Outages,
    evidence: Option<EvidenceToStore<'a>>,
}

impl Journal {
    pub(crate) fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    pub(crate) fn load(&self) -> Result<Restored, JournalError> {
        let path = self.directory.join(FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Restored::default()),
            Err(error) => return Err(JournalError::File { path, error }),
        };
        let written: Written = match serde_json::from_slice(&bytes) {
            Ok(written) => written,
            Err(error) => return Err(JournalError::File { path, error: error.into() }),
        };
        let evidence = written
            .evidence
            .map(Evidence::try_from)
            .transpose()
            .map_err(|error| JournalError::Chain { path, error })?;
        let pass = written.pass.map(Pass);
        Ok(Restored { enrolled: written.enrolled, pass, begin: written.begin, outages: written.outages, evidence })
    }

    pub(crate) fn keep(&self, restored: &Restored) -> Result<(), JournalError> {
        let writing = Writing {
            enrolled: restored.enrolled,
            pass: restored.pass.map(|pass| pass.0),
            begin: restored.begin,
            outages: &restored.outages,
            evidence: restored.evidence.as_ref().map(Evidence::keeping),
        };
        let path = self.directory.join(FILE);
        let fresh = self.directory.join("journal.new");
        write(&fresh, &writing).and_then(|()| fs::rename(&fresh, &path)).map_err(|error| {
            // Half a journal would take the room that the next one needs.
            let _ = fs::remove_file(&fresh);
            JournalError::File { path, error }
        })
    }

    /// Lets the startup probe pass.
    pub(crate) fn mark_started(&self) -> Result<(), JournalError> {
        let path = self.directory.join(MARKER);
        fs::write(&path, []).map_err(|error| JournalError::File { path, error })
    }
}

fn write(path: &Path, writing: &Writing<'_>) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    serde_json::to_writer(&mut file, writing)?;
    file.flush()
}
