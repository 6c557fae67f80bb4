//! meter's arguments, as the operator writes them into the pod.

use std::{io, path::PathBuf};

use alloy::primitives::Address;
use clap::Args;
use hawser_attestation::MarketId;
use hawser_market::JobId;
use hawser_proto::pod;
use jiff::SignedDuration;

use super::link::Operator;

/// What meter is given by its pod.
#[derive(Args)]
pub(crate) struct Config {
    /// The operator's attestation service, e.g. `https://hawser-attestation.hawser.svc:9443`
    #[arg(long, env = pod::env::OPERATOR)]
    operator: String,
    /// The market's job id, `0x` and 64 hexadecimal digits
    #[arg(long, env = pod::env::JOB_ID)]
    pub(super) job_id: JobId,
    /// Number of GPUs of the job
    #[arg(long, env = pod::env::GPUS, value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) gpus: u16,
    /// EIP-155 chain id of the market; 0 for a local job
    #[arg(long, env = pod::env::CHAIN_ID)]
    chain_id: u64,
    /// Address of the market; zero for a local job
    #[arg(long, env = pod::env::MARKET)]
    market: Address,
    /// Seconds between two reports
    #[arg(long, env = pod::env::REPORT_INTERVAL_SECONDS, default_value_t = 10,
          value_parser = clap::value_parser!(u32).range(1..=300))]
    interval: u32,
    /// Directory shared with probe
    #[arg(long, env = pod::env::GPU_DIR, default_value = pod::GPU_DIR)]
    pub(super) gpu_dir: PathBuf,
    /// Directory in memory that only meter mounts
    #[arg(long, env = pod::env::KEY_DIR, default_value = pod::KEY_DIR)]
    pub(super) key_dir: PathBuf,
    /// Directory with `token` and `ca.crt`
    #[arg(long, env = pod::env::IDENTITY_DIR, default_value = pod::IDENTITY_DIR)]
    identity_dir: PathBuf,
    /// The container's termination message
    #[arg(long, env = pod::env::TERMINATION_LOG, default_value = pod::TERMINATION_LOG)]
    pub(super) termination_log: PathBuf,
}

impl Config {
    pub(super) fn market(&self) -> MarketId {
        MarketId { chain_id: self.chain_id, address: self.market }
    }

    pub(super) fn operator(&self) -> io::Result<Operator> {
        Operator::new(&self.operator, &self.identity_dir.join(pod::CA_FILE))
    }

    pub(super) fn token(&self) -> PathBuf {
        self.identity_dir.join(pod::TOKEN_FILE)
    }

    pub(super) fn interval(&self) -> SignedDuration {
        SignedDuration::from_secs(i64::from(self.interval))
    }
}
