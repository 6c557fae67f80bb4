//! Cards that are dead, by the newest line of a meter's evidence. Pure.

use std::fmt;

use hawser_attestation::{Body, Line};
use jiff::Timestamp;

/// A card of a job that is dead, as its meter says: its time does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadCard {
    /// `nvmlDeviceGetUUID`
    pub uuid: String,
    /// When it answered last. Nothing of it counts from there on.
    pub since: Timestamp,
    /// What NVML says of it.
    pub error: String,
}

impl fmt::Display for DeadCard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GPU {} does not answer since {}: {}", self.uuid, self.since, self.error)
    }
}

/// The cards that are dead by this line of evidence; `None` for a line that says nothing of cards.
pub(super) fn dead(line: &Line) -> Option<Vec<DeadCard>> {
    let Ok(Body::Report(report)) = line.read_body() else { return None };
    let dead = report.gpus.into_iter().filter_map(|gpu| {
        let error = gpu.error.unwrap_or_else(|| "NVML does not answer".to_owned());
        Some(DeadCard { since: gpu.stopped_at?, uuid: gpu.uuid, error })
    });
    Some(dead.collect())
}
