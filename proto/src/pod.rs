//! What a job's pod and the programs in it agree on. The operator writes pods with these names, the sidecar reads them: neither
//! compiles with a name of its own.

/// Name of the container that runs the customer's image.
pub const JOB_CONTAINER: &str = "job";
/// Name of the sidecar that reports and signs, and the subcommand that it runs.
pub const METER_CONTAINER: &str = "meter";
/// Name of the init container that says which GPUs the job has, and the subcommand that it runs.
pub const PROBE_CONTAINER: &str = "probe";
/// Name of the container of an offer's canary, which tries what jobs may not reach.
pub const CANARY_CONTAINER: &str = "canary";
/// Subcommand of the canary.
pub const REACH_COMMAND: &str = "reach";
/// Subcommand of meter's startup probe.
pub const STARTED_COMMAND: &str = "started";
/// The sidecar's program in its image.
pub const SIDECAR_PROGRAM: &str = "/usr/local/bin/hawser-sidecar";

/// Audience of the service account token that meter enrols with.
pub const TOKEN_AUDIENCE: &str = "hawser-attestation";
/// File of that token in [`IDENTITY_DIR`].
pub const TOKEN_FILE: &str = "token";
/// File of the attestation service's CA in [`IDENTITY_DIR`].
pub const CA_FILE: &str = "ca.crt";

/// Directory in which probe names the job's GPUs for meter.
pub const GPU_DIR: &str = "/run/hawser/gpus";
/// Directory in memory that only meter mounts: its key and its journal.
pub const KEY_DIR: &str = "/run/hawser/key";
/// Directory with meter's token and the CA.
pub const IDENTITY_DIR: &str = "/run/hawser/identity";
/// Where kubelet reads a container's termination message.
pub const TERMINATION_LOG: &str = "/dev/termination-log";

/// Environment variables.
pub mod env {
    /// URL of the operator's attestation service.
    pub const OPERATOR: &str = "HAWSER_OPERATOR";
    /// The job's id as the attestor signs it: `0x` and 64 hexadecimal digits.
    pub const JOB_ID: &str = "HAWSER_JOB_ID";
    /// Number of GPUs of the job.
    pub const GPUS: &str = "HAWSER_GPUS";
    /// EIP-155 chain id of the market; 0 for a local job.
    pub const CHAIN_ID: &str = "HAWSER_CHAIN_ID";
    /// Address of the market; zero for a local job.
    pub const MARKET: &str = "HAWSER_MARKET";
    /// Seconds between two reports.
    pub const REPORT_INTERVAL_SECONDS: &str = "HAWSER_REPORT_INTERVAL_SECONDS";
    /// Instead of [`GPU_DIR`](super::GPU_DIR).
    pub const GPU_DIR: &str = "HAWSER_GPU_DIR";
    /// Instead of [`KEY_DIR`](super::KEY_DIR).
    pub const KEY_DIR: &str = "HAWSER_KEY_DIR";
    /// Instead of [`IDENTITY_DIR`](super::IDENTITY_DIR).
    pub const IDENTITY_DIR: &str = "HAWSER_IDENTITY_DIR";
    /// Instead of [`TERMINATION_LOG`](super::TERMINATION_LOG).
    pub const TERMINATION_LOG: &str = "HAWSER_TERMINATION_LOG";
    /// Address of the canary's node.
    pub const NODE_IP: &str = "HAWSER_NODE_IP";
    /// What the sidecar's image declares as its volume.
    pub const IMAGE_VOLUME: &str = "HAWSER_IMAGE_VOLUME";
}
