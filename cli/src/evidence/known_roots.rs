//! What evidence said when it was looked at before. Until a claim rests on it, whoever holds the attestor's key can rewrite
//! it: who keeps the root that it once had finds out.

use std::{collections::BTreeMap, fs, io, path::Path};

use alloy::primitives::Address;
use hawser_attestation::{EvidenceRoot, Summary};
use hawser_market::GpuSeconds;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// The newest root of each attestor of each job that was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KnownRoots {
    jobs: BTreeMap<String, BTreeMap<Address, Seen>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Seen {
    evidence_root: EvidenceRoot,
    gpu_seconds: GpuSeconds,
    /// Of the line with this root.
    time: Timestamp,
}

impl KnownRoots {
    /// Reads the file; there is none before the first time.
    pub(crate) fn load(path: &Path) -> Result<Self, Failure> {
        let wrong = |why: String| Failure::input(format!("the state file {} can't be read: {why}", path.display()));
        match fs::read(path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| wrong(error.to_string())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(wrong(error.to_string())),
        }
    }

    /// Writes it in one step: one that is cut off would forget everything.
    pub(crate) fn save(&self, path: &Path) -> Result<(), Failure> {
        let failed = |why: String| Failure::local(format!("the state file {} can't be written: {why}", path.display()));
        let text = serde_json::to_vec_pretty(self).map_err(|error| failed(error.to_string()))?;
        let mut beside = path.as_os_str().to_owned();
        beside.push(".new");
        fs::write(&beside, text).and_then(|()| fs::rename(&beside, path)).map_err(|error| failed(error.to_string()))
    }

    /// Every root that is remembered: which job the evidence is of is known once it is read.
    pub(crate) fn all_roots(&self) -> impl Iterator<Item = EvidenceRoot> {
        self.jobs.values().flat_map(BTreeMap::values).map(|seen| seen.evidence_root)
    }

    /// What was there once and is there no more.
    pub(crate) fn rewritten(&self, job: &str, evidence: &Summary) -> Vec<String> {
        let seen = self.jobs.get(job).into_iter().flatten();
        let gone = seen.filter(|(_, seen)| evidence.vouched(seen.evidence_root).is_none());
        gone.map(|(attestor, seen)| {
            format!(
                "REWRITTEN: attestor {attestor} had signed {} GPU-seconds at {} (root {}) when it was looked at before; that \
                 is not in the evidence any more",
                seen.gpu_seconds, seen.time, seen.evidence_root
            )
        })
        .collect()
    }

    /// Remembers where the evidence ends now.
    pub(crate) fn remember(&mut self, job: &str, evidence: &Summary) {
        let seen = self.jobs.entry(job.to_owned()).or_default();
        for segment in &evidence.segments {
            let now =
                Seen { evidence_root: segment.evidence_root, gpu_seconds: segment.gpu_seconds, time: segment.last };
            seen.insert(segment.attestor, now);
        }
    }
}
