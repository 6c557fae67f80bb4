//! What a person or a test changes about the double's cards while the cluster runs.

use anyhow::Result;
use nvml_double_state::{Gpu, State, StateError};

use super::{driver::DriverRoot, plugin};
use crate::{Layout, process::Supervisor};

/// The cards of the running cluster. Each change is seen at once by every program, in containers too.
#[derive(Clone, Debug)]
pub struct Double {
    driver: DriverRoot,
    supervisor: Supervisor,
}

impl Double {
    pub fn of(layout: &Layout) -> Self {
        Self { driver: DriverRoot::of(layout), supervisor: Supervisor::new(layout) }
    }

    /// All cards as they are now.
    pub fn state(&self) -> Result<State> {
        Ok(self.driver.state().read()?)
    }

    /// Sets how busy a card is, in percent; power, temperature and clocks follow.
    pub fn set_utilization(&self, gpu: &Gpu, percent: u32) -> Result<()> {
        self.change(|state| state.set_utilization(gpu, percent))
    }

    /// Sets how much memory programs use on a card, in bytes.
    pub fn set_memory_used(&self, gpu: &Gpu, bytes: u64) -> Result<()> {
        self.change(|state| state.set_memory_used(gpu, bytes))
    }

    /// Sets a card's temperature, in degrees Celsius; `None`: it follows utilisation again.
    pub fn set_temperature(&self, gpu: &Gpu, celsius: Option<u32>) -> Result<()> {
        self.change(|state| state.set_temperature(gpu, celsius))
    }

    /// Sets a card's power draw, in milliwatts; `None`: it follows utilisation again.
    pub fn set_power(&self, gpu: &Gpu, milliwatts: Option<u32>) -> Result<()> {
        self.change(|state| state.set_power(gpu, milliwatts))
    }

    /// Raises an Xid. Unless NVIDIA counts it as a program's own fault (13, 31, 43, 45, 68, 109),
    /// the device plugin takes the card out of the node's allocatable ones.
    pub fn raise_xid(&self, gpu: &Gpu, code: u64) -> Result<()> {
        self.change(|state| state.raise_xid(gpu, code))
    }

    /// Lets a card fall off the bus, with Xid 79.
    pub fn lose(&self, gpu: &Gpu) -> Result<()> {
        self.change(|state| state.lose(gpu))
    }

    /// Brings a card back, idle, after an Xid or a loss. The device plugin is restarted: it never
    /// calls a card healthy again by itself.
    pub fn restore(&self, gpu: &Gpu) -> Result<()> {
        self.change(|state| state.restore(gpu))?;
        self.supervisor.stop(plugin::NAME)?;
        plugin::remove_specification()?;
        self.supervisor.start(plugin::NAME)
    }

    fn change(&self, change: impl FnOnce(&mut State) -> Result<(), StateError>) -> Result<()> {
        self.driver.state().update(change)?;
        Ok(())
    }
}
