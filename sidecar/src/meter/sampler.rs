use std::{sync::Arc, time::Duration};

use hawser_attestation::GpuSample;
use nvml_wrapper::Nvml;
use tokio::task::JoinHandle;

use crate::cards;

/// How long NVML may take: a card that fell off the bus can hang a call for good.
const PATIENCE: Duration = Duration::from_millis(500);

/// Reads the job's cards without letting a driver that hangs stop the count.
#[derive(Debug)]
pub(crate) struct Sampler {
    nvml: Option<Arc<Nvml>>,
    running: Option<JoinHandle<Vec<GpuSample>>>,
}

impl Sampler {
    pub(crate) fn new(nvml: Option<Nvml>) -> Self {
        Self { nvml: nvml.map(Arc::new), running: None }
    }

    /// A sample of each card; empty where NVML is not visible.
    pub(crate) async fn sample(&mut self, uuids: &[String]) -> Vec<GpuSample> {
        let Some(nvml) = self.nvml.clone() else { return Vec::new() };
        let asked = uuids.to_vec();
        let running = self.running.get_or_insert_with(|| {
            tokio::task::spawn_blocking(move || asked.iter().map(|uuid| cards::sample(&nvml, uuid)).collect())
        });
        match tokio::time::timeout(PATIENCE, running).await {
            Ok(done) => {
                self.running = None;
                done.unwrap_or_else(|error| failed(uuids, &format!("NVML failed: {error}")))
            }
            // The call goes on; what it finds is the next report's sample.
            Err(_) => failed(uuids, "NVML does not answer"),
        }
    }
}

fn failed(uuids: &[String], why: &str) -> Vec<GpuSample> {
    uuids
        .iter()
        .map(|uuid| GpuSample { uuid: uuid.clone(), error: Some(why.to_owned()), ..GpuSample::default() })
        .collect()
}
