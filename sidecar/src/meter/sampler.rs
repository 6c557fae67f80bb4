//! Samples the job's GPUs through NVML, with a limit on how long a driver may take.

use std::{io, time::Duration};

use nvml_wrapper::Nvml;
use tokio::sync::oneshot;

use super::worker::Worker;
use crate::cards::{self, Reading};

/// How long NVML may take: a card that fell off the bus can hang a call for good.
const TIMEOUT: Duration = Duration::from_millis(500);

/// Reads the job's cards without letting a driver that hangs stop the count.
#[derive(Debug)]
pub(crate) struct Sampler {
    nvml: Option<Worker<Vec<String>, Vec<Reading>>>,
    running: Option<oneshot::Receiver<Vec<Reading>>>,
}

impl Sampler {
    pub(crate) fn start(nvml: Option<Nvml>) -> io::Result<Self> {
        let read = |nvml: Nvml| {
            Worker::start("nvml", move |uuids: Vec<String>| {
                uuids.iter().map(|uuid| cards::sample(&nvml, uuid)).collect()
            })
        };
        Ok(Self { nvml: nvml.map(read).transpose()?, running: None })
    }

    /// A sample of each card.
    pub(crate) async fn sample(&mut self, uuids: &[String]) -> Vec<Reading> {
        // It was visible when the evidence began, and meter's container was started again since.
        let Some(nvml) = &self.nvml else { return silent(uuids, "NVML is not visible any more") };
        let running = self.running.get_or_insert_with(|| nvml.ask(uuids.to_vec()));
        match tokio::time::timeout(TIMEOUT, running).await {
            Ok(done) => {
                self.running = None;
                done.unwrap_or_else(|_| silent(uuids, "NVML failed: its thread has ended"))
            }
            // The call goes on; what it finds is the next report's sample.
            Err(_) => silent(uuids, "NVML does not answer"),
        }
    }
}

fn silent(uuids: &[String], why: &str) -> Vec<Reading> {
    uuids.iter().map(|uuid| Reading::silent(uuid, why)).collect()
}
