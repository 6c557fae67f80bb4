//! Prints the cards that this process sees, each as `minor/utilisation/UUID`, whenever that changes;
//! with the argument `once`, once. The local cluster's tests run it in containers.

use std::io::{self, Write as _};
use std::thread;
use std::time::Duration;

use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;

const PERIOD: Duration = Duration::from_millis(100);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let once = std::env::args().nth(1).is_some_and(|argument| argument == "once");
    let nvml = Nvml::init()?;
    let mut last = String::new();
    loop {
        let line = seen(&nvml)?;
        if line != last {
            writeln!(io::stdout(), "{line}")?;
            last = line;
        }
        if once {
            return Ok(());
        }
        thread::sleep(PERIOD);
    }
}

fn seen(nvml: &Nvml) -> Result<String, NvmlError> {
    let cards: Result<Vec<String>, NvmlError> = (0..nvml.device_count()?).map(|index| card(nvml, index)).collect();
    Ok(cards?.join(" "))
}

fn card(nvml: &Nvml, index: u32) -> Result<String, NvmlError> {
    let device = nvml.device_by_index(index)?;
    let utilization = match device.utilization_rates() {
        Ok(rates) => rates.gpu.to_string(),
        Err(NvmlError::GpuLost) => "lost".to_owned(),
        Err(other) => return Err(other),
    };
    Ok(format!("{}/{utilization}/{}", device.minor_number()?, device.uuid()?))
}
