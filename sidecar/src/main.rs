//! `hawser-sidecar`: what runs beside a customer's container and attests the GPUs' use.
//!
//! `probe` is an init container with the job's GPUs and says which they are, `meter` a native sidecar without GPUs that
//! reports and signs, `started` meter's startup probe. `reach` runs in a pod of its own, an offer's canary.

mod cards;
mod meter;
mod probe;
mod reach;
mod started;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

#[derive(Parser)]
#[command(version, about = "Attests the GPU use of one Hawser job from inside its pod")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write which GPUs the job was given, and exit
    Probe(probe::Config),
    /// Sample the GPUs, sign what was used and report it, until the pod ends
    Meter(meter::Config),
    /// Exit 0 once the job is started on chain, 1 before
    Started(started::Config),
    /// Try what a job may not reach, write what answered, and exit
    Reach(reach::Config),
}

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_env("HAWSER_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(std::io::stderr).init();
    let done = match Cli::parse().command {
        Command::Probe(config) => probe::run(&config).map_err(anyhow::Error::from),
        Command::Meter(config) => run_meter(&config),
        Command::Started(config) => return started::run(&config),
        Command::Reach(config) => reach::run(&config).map_err(anyhow::Error::from),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // kubelet shows a container's last lines where it left no termination message: say it plainly there.
            eprintln!("hawser-sidecar: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run_meter(config: &meter::Config) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(meter::run(config));
    // A call into a driver that hangs must not keep the pod from ending.
    runtime.shutdown_background();
    done
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use hawser_proto::pod;

    use super::*;

    #[test]
    fn what_the_operator_starts_in_a_pod_is_a_subcommand() {
        for name in [pod::PROBE_CONTAINER, pod::METER_CONTAINER, pod::REACH_COMMAND, pod::STARTED_COMMAND] {
            assert!(Cli::command().find_subcommand(name).is_some(), "{name}");
        }
    }
}
