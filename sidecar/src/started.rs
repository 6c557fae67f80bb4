//! The startup probe of the customer's container: passes once the job is started on chain.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use hawser_proto::pod;

/// File in meter's directory that says that the job is started on chain.
pub(crate) const MARKER: &str = "started";

/// Where meter keeps its files.
#[derive(Args)]
pub(crate) struct Config {
    /// Directory that only meter mounts
    #[arg(long, env = pod::env::KEY_DIR, default_value = pod::KEY_DIR)]
    key_dir: PathBuf,
}

pub(crate) fn run(config: &Config) -> ExitCode {
    if config.key_dir.join(MARKER).exists() {
        return ExitCode::SUCCESS;
    }
    eprintln!("the job is not started on chain yet");
    ExitCode::FAILURE
}
