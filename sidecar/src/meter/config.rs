use std::{io, path::PathBuf};

use alloy::primitives::Address;
use clap::Args;
use hawser_attestation::{JobId, Market};
use jiff::SignedDuration;

use super::link::Operator;

/// What meter is told by its pod.
#[derive(Args)]
pub(crate) struct Config {
    /// The operator's attestation service, e.g. `https://hawser-attestation.hawser.svc:9443`
    #[arg(long, env = "HAWSER_OPERATOR")]
    operator: String,
    /// The market's job id, `0x` and 64 hexadecimal digits
    #[arg(long, env = "HAWSER_JOB_ID")]
    pub(super) job_id: JobId,
    /// Number of GPUs of the job
    #[arg(long, env = "HAWSER_GPUS", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) gpus: u16,
    /// EIP-155 chain id of the market; 0 for a local job
    #[arg(long, env = "HAWSER_CHAIN_ID")]
    chain_id: u64,
    /// Address of the market; zero for a local job
    #[arg(long, env = "HAWSER_MARKET")]
    market: Address,
    /// Seconds between two reports
    #[arg(long, env = "HAWSER_REPORT_INTERVAL_SECONDS", default_value_t = 10,
          value_parser = clap::value_parser!(u32).range(1..=300))]
    interval: u32,
    /// Directory shared with probe
    #[arg(long, env = "HAWSER_GPU_DIR", default_value = "/run/hawser/gpus")]
    pub(super) gpu_dir: PathBuf,
    /// Directory in memory that only meter mounts
    #[arg(long, env = "HAWSER_KEY_DIR", default_value = "/run/hawser/key")]
    pub(super) key_dir: PathBuf,
    /// Directory with `token` and `ca.crt`
    #[arg(long, env = "HAWSER_IDENTITY_DIR", default_value = "/run/hawser/identity")]
    identity_dir: PathBuf,
    /// The container's termination message
    #[arg(long, env = "HAWSER_TERMINATION_LOG", default_value = "/dev/termination-log")]
    pub(super) termination_log: PathBuf,
}

impl Config {
    pub(super) fn market(&self) -> Market {
        Market { chain_id: self.chain_id, address: self.market }
    }

    pub(super) fn operator(&self) -> io::Result<Operator> {
        Operator::new(&self.operator, &self.identity_dir.join("ca.crt"))
    }

    pub(super) fn token(&self) -> PathBuf {
        self.identity_dir.join("token")
    }

    pub(super) fn interval(&self) -> SignedDuration {
        SignedDuration::from_secs(i64::from(self.interval))
    }
}
