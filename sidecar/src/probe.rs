//! Which GPUs kubelet gave the job: the init container asks for as many as the customer's container, and kubelet
//! hands an init container's devices on.

use std::{fs, io, path::PathBuf};

use clap::Args;
use hawser_proto::pod;
use nvml_wrapper::{Nvml, error::NvmlError};

use crate::cards::{self, Card};

/// What probe is given by its pod.
#[derive(Args)]
pub(crate) struct Config {
    /// Number of GPUs that the job has
    #[arg(long, env = pod::env::GPUS)]
    gpus: u16,
    /// Directory shared with meter
    #[arg(long, env = pod::env::GPU_DIR, default_value = pod::GPU_DIR)]
    gpu_dir: PathBuf,
}

/// Why the job's GPUs can't be found out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProbeError {
    #[error(
        "the job has {expected} GPUs, but NVML shows {} here ({}): the device plugin gave other devices, or a card \
         fell off the bus",
        found.len(),
        found.iter().map(|c| c.uuid.as_str()).collect::<Vec<_>>().join(", ")
    )]
    Count { expected: u16, found: Vec<Card> },
    #[error("NVML is here, but a GPU does not answer: {0}")]
    Nvml(#[from] NvmlError),
    #[error("can't write {path}: {error}")]
    Write { path: PathBuf, error: io::Error },
}

pub(crate) fn run(config: &Config) -> Result<(), ProbeError> {
    let found = match Nvml::init() {
        Ok(nvml) => checked(config.gpus, cards::list(&nvml)?)?,
        // Without NVML the job is metered by time alone; the evidence says so.
        Err(error) => {
            tracing::warn!(%error, "nvml: not visible");
            Vec::new()
        }
    };
    write(config, &found)?;
    tracing::info!(gpus = ?found, "the job's GPUs");
    Ok(())
}

fn checked(expected: u16, found: Vec<Card>) -> Result<Vec<Card>, ProbeError> {
    if found.len() == usize::from(expected) { Ok(found) } else { Err(ProbeError::Count { expected, found }) }
}

fn write(config: &Config, found: &[Card]) -> Result<(), ProbeError> {
    let path = config.gpu_dir.join(cards::FILE);
    serde_json::to_vec(found)
        .map_err(io::Error::from)
        .and_then(|text| fs::write(&path, text))
        .map_err(|error| ProbeError::Write { path, error })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(minor: u32) -> Card {
        Card { uuid: format!("GPU-{minor}"), name: "NVIDIA H100 80GB HBM3".to_owned(), minor }
    }

    #[test]
    fn as_many_cards_as_the_job_has_are_taken() {
        assert_eq!(checked(2, vec![card(4), card(7)]).unwrap(), [card(4), card(7)]);
    }

    #[test]
    fn another_number_of_cards_is_refused_with_their_uuids() {
        let error = checked(3, vec![card(4), card(7)]).unwrap_err().to_string();
        assert!(error.starts_with("the job has 3 GPUs, but NVML shows 2 here (GPU-4, GPU-7)"), "{error}");
        assert!(checked(1, vec![]).is_err());
    }
}
