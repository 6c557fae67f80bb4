//! `cargo xtask`: everything a developer of Hawser runs.

mod cluster;

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
}

fn main() -> ExitCode {
    let done = match Cli::parse().task {
        Task::Cluster(command) => cluster::run(command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
