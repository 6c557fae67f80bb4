//! The GPUs as NVML shows them to this container.

use hawser_attestation::GpuSample;
use nvml_wrapper::{
    Device, Nvml,
    enum_wrappers::device::{Clock, TemperatureSensor},
    error::NvmlError,
};
use serde::{Deserialize, Serialize};

/// File in the directory shared with meter that lists the job's cards.
pub(crate) const FILE: &str = "uuids";

/// One GPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Card {
    /// `nvmlDeviceGetUUID`
    pub(crate) uuid: String,
    /// `nvmlDeviceGetName`
    pub(crate) name: String,
    /// `nvmlDeviceGetMinorNumber`: N of `/dev/nvidiaN`
    pub(crate) minor: u32,
}

/// All GPUs that this container can open.
pub(crate) fn list(nvml: &Nvml) -> Result<Vec<Card>, NvmlError> {
    let describe = |index| {
        let device = nvml.device_by_index(index)?;
        Ok(Card { uuid: device.uuid()?, name: device.name()?, minor: device.minor_number()? })
    };
    (0..nvml.device_count()?).map(describe).collect()
}

/// State of one GPU now. A card that does not answer is a sample too: it says why.
pub(crate) fn sample(nvml: &Nvml, uuid: &str) -> GpuSample {
    match nvml.device_by_uuid(uuid) {
        Ok(device) => read(&device, uuid),
        Err(error) => GpuSample { uuid: uuid.to_owned(), error: Some(error.to_string()), ..GpuSample::default() },
    }
}

fn read(device: &Device<'_>, uuid: &str) -> GpuSample {
    let mut failure = None;
    let mut read = Reading(&mut failure);
    let utilization = read.value(device.utilization_rates());
    let memory = read.value(device.memory_info());
    let temperature_celsius = read.value(device.temperature(TemperatureSensor::Gpu));
    let power_milliwatts = read.value(device.power_usage());
    let sm_clock_mhz = read.value(device.clock_info(Clock::SM));
    let name = read.value(device.name());
    GpuSample {
        uuid: uuid.to_owned(),
        name,
        utilization_gpu_percent: utilization.as_ref().map(|u| u.gpu),
        utilization_memory_percent: utilization.as_ref().map(|u| u.memory),
        memory_used_bytes: memory.as_ref().map(|m| m.used),
        memory_total_bytes: memory.as_ref().map(|m| m.total),
        temperature_celsius,
        power_milliwatts,
        sm_clock_mhz,
        error: failure,
    }
}

struct Reading<'a>(&'a mut Option<String>);

impl Reading<'_> {
    /// A value that the GPU does not have is no failure.
    fn value<T>(&mut self, answer: Result<T, NvmlError>) -> Option<T> {
        match answer {
            Ok(value) => Some(value),
            Err(NvmlError::NotSupported | NvmlError::FailedToLoadSymbol(_)) => None,
            Err(error) => {
                self.0.get_or_insert_with(|| error.to_string());
                None
            }
        }
    }
}
