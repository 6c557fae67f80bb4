//! `cargo xtask`: everything a developer of Hawser runs.

mod artifacts;
mod bench;
mod cluster;
mod demo;
mod gpu;
mod images;
mod test;
mod tools;
mod workspace;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Hawser's developer commands")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// A real single-node Kubernetes on this machine, with registry, EVM node and S3 server
    #[command(subcommand)]
    Cluster(cluster::Command),
    /// The local cluster's GPUs, which are a double's: shows and changes what they read
    #[command(subcommand)]
    Gpu(gpu::Command),
    /// The main job, end to end: an offer, a stranger's order, attested use, payment and refund
    Demo(demo::Options),
    /// Build the images of operator and sidecar, push them to a registry of yours, and print the chart's values for them
    Images(images::Options),
    /// Measurements whose pages are committed
    #[command(subcommand)]
    Bench(bench::Command),
    /// Every check and every test
    Test(test::Options),
    /// Runs a command as on a machine of its own, without a way out, where another local cluster can be up
    World(world::Options),
    /// What `test` has done on a second local cluster
    #[command(hide = true)]
    Errand { file: PathBuf },
}

fn main() -> ExitCode {
    let done = match Cli::parse().task {
        Task::Cluster(command) => cluster::run(&command),
        Task::Gpu(command) => gpu::run(&command),
        Task::Demo(options) => demo::run(&options),
        Task::Images(options) => images::run(&options),
        Task::Bench(command) => bench::run(&command),
        Task::Test(options) => test::run(&options),
        Task::World(options) => world::run(&options),
        Task::Errand { file } => test::errand(&file),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
