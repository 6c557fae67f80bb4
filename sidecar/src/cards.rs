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

/// Whether a card can still be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// It answers.
    Answers,
    /// NVML says that it is not there, or can't be used.
    Dead,
    /// NVML itself says nothing.
    Silent,
}

/// What was read of a card.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    pub(crate) sample: GpuSample,
    pub(crate) life: Life,
}

impl Reading {
    /// Nobody answered.
    pub(crate) fn silent(uuid: &str, why: &str) -> Self {
        Self { sample: failed(uuid, why.to_owned()), life: Life::Silent }
    }
}

/// State of one GPU now. A card that does not answer is a sample too: it says why.
pub(crate) fn sample(nvml: &Nvml, uuid: &str) -> Reading {
    match nvml.device_by_uuid(uuid) {
        Ok(device) => read(&device, uuid),
        Err(error) => Reading { sample: failed(uuid, error.to_string()), life: Life::Dead },
    }
}

fn failed(uuid: &str, why: String) -> GpuSample {
    GpuSample { uuid: uuid.to_owned(), error: Some(why), ..GpuSample::default() }
}

fn read(device: &Device<'_>, uuid: &str) -> Reading {
    let mut read = Answers::default();
    let utilization = read.value(device.utilization_rates());
    let memory = read.value(device.memory_info());
    let temperature_celsius = read.value(device.temperature(TemperatureSensor::Gpu));
    let power_milliwatts = read.value(device.power_usage());
    let sm_clock_mhz = read.value(device.clock_info(Clock::SM));
    let name = read.value(device.name());
    let life = read.life();
    let sample = GpuSample {
        uuid: uuid.to_owned(),
        name,
        utilization_gpu_percent: utilization.as_ref().map(|u| u.gpu),
        utilization_memory_percent: utilization.as_ref().map(|u| u.memory),
        memory_used_bytes: memory.as_ref().map(|m| m.used),
        memory_total_bytes: memory.as_ref().map(|m| m.total),
        temperature_celsius,
        power_milliwatts,
        sm_clock_mhz,
        error: read.failure,
        stopped_at: None,
    };
    Reading { sample, life }
}

/// What a card's answers come to.
#[derive(Debug, Default)]
struct Answers {
    failure: Option<String>,
    /// One of them was more than a failure.
    any: bool,
    /// One of them says that the card is gone, or can't be used before a reset.
    lost: bool,
}

impl Answers {
    /// One sensor that fails is no dead card.
    fn life(&self) -> Life {
        if self.lost || !self.any { Life::Dead } else { Life::Answers }
    }

    /// A value that the GPU does not have is no failure.
    fn value<T>(&mut self, answer: Result<T, NvmlError>) -> Option<T> {
        match answer {
            Ok(value) => {
                self.any = true;
                Some(value)
            }
            Err(NvmlError::NotSupported | NvmlError::FailedToLoadSymbol(_)) => {
                self.any = true;
                None
            }
            Err(error) => {
                self.lost |= matches!(error, NvmlError::GpuLost | NvmlError::ResetRequired);
                self.failure.get_or_insert_with(|| error.to_string());
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sensor_that_fails_is_no_dead_card() {
        let life = |answers: Vec<Result<u32, NvmlError>>| {
            let mut read = Answers::default();
            for answer in answers {
                read.value(answer);
            }
            read.life()
        };
        assert_eq!(life(vec![Ok(1), Err(NvmlError::Unknown)]), Life::Answers);
        assert_eq!(life(vec![Err(NvmlError::NotSupported), Err(NvmlError::Unknown)]), Life::Answers);
        assert_eq!(life(vec![Err(NvmlError::Unknown), Err(NvmlError::Unknown)]), Life::Dead);
        assert_eq!(life(vec![Ok(1), Err(NvmlError::GpuLost)]), Life::Dead);
        assert_eq!(life(vec![Ok(1), Err(NvmlError::ResetRequired)]), Life::Dead);
    }
}
