//! `cargo xtask gpu`: faults and readings of the cluster's GPUs.

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use hawser_local::{
    Layout,
    nvidia::{Double, Gpu},
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Shows every card and what it reads
    Show,
    /// Changes what a card reads. What is not named stays
    Set(Readings),
    /// Raises an Xid: an error that the driver reports for a card
    Xid {
        /// Index or UUID
        #[arg(long)]
        gpu: String,
        /// NVIDIA's number for the error, such as 48 (double-bit ECC error) or 79 (off the bus)
        #[arg(long)]
        code: u64,
    },
    /// Lets a card fall off the bus
    Lose {
        /// Index or UUID
        #[arg(long)]
        gpu: String,
    },
    /// Brings a card back after an Xid or a loss, and restarts the device plugin
    Restore {
        /// Index or UUID
        #[arg(long)]
        gpu: String,
    },
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true, args = ["utilization", "memory", "temperature", "power"])]
pub(crate) struct Readings {
    /// Index or UUID
    #[arg(long)]
    gpu: String,
    /// How busy it is, in percent
    #[arg(long)]
    utilization: Option<u32>,
    /// Memory that programs use, in MiB
    #[arg(long)]
    memory: Option<u64>,
    /// In degrees Celsius
    #[arg(long)]
    temperature: Option<u32>,
    /// In watts
    #[arg(long)]
    power: Option<u32>,
}

pub(crate) fn run(command: &Command) -> Result<()> {
    let double = Double::of(&Layout::of_this_machine()?);
    match command {
        Command::Show => {}
        Command::Set(readings) => set(&double, readings)?,
        Command::Xid { gpu, code } => double.raise_xid(&gpu_named(gpu), *code)?,
        Command::Lose { gpu } => double.lose(&gpu_named(gpu))?,
        Command::Restore { gpu } => double.restore(&gpu_named(gpu))?,
    }
    show(&double)
}

fn set(double: &Double, readings: &Readings) -> Result<()> {
    let gpu = gpu_named(&readings.gpu);
    if let Some(percent) = readings.utilization {
        double.set_utilization(&gpu, percent)?;
    }
    if let Some(mebibytes) = readings.memory {
        let bytes = mebibytes.checked_mul(1024 * 1024).context("--memory is more than can be counted in bytes")?;
        double.set_memory_used(&gpu, bytes)?;
    }
    if let Some(celsius) = readings.temperature {
        double.set_temperature(&gpu, Some(celsius))?;
    }
    if let Some(watts) = readings.power {
        let milliwatts = watts.checked_mul(1000).context("--power is more than can be counted in milliwatts")?;
        double.set_power(&gpu, Some(milliwatts))?;
    }
    Ok(())
}

fn show(double: &Double) -> Result<()> {
    let state = double.state()?;
    println!("{} (a double, driver {})", state.model.name, state.driver.version);
    for card in &state.cards {
        println!(
            "{:>2}  {}  {:>3} %  {:>6} MiB  {:>3} °C  {:>4} W{}",
            card.minor,
            card.uuid,
            card.utilization_percent,
            card.memory_used_bytes / 1024 / 1024,
            card.temperature(),
            card.power(&state.model) / 1000,
            if card.lost { "  lost" } else { "" },
        );
    }
    for xid in &state.xids.recent {
        println!("Xid {} on GPU {}", xid.code, xid.minor);
    }
    Ok(())
}

/// A number is an index, anything else a UUID.
fn gpu_named(text: &str) -> Gpu {
    match text.parse() {
        Ok(gpu) => gpu,
        Err(never) => match never {},
    }
}
