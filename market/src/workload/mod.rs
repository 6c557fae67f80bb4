//! What may be ordered: the workload, its public spec, and the rules by which it is taken or declined.
//!
//! One piece of code decides. The command line asks it before money moves, the operator asks it before a pod starts, so a
//! customer is refused exactly what every operator refuses, in the same words.

mod environment;
mod image;
pub mod quantity;
mod reference;
mod rules;
mod spec;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use image::Images;
pub use rules::{Limits, MAX_ARGS, MAX_COMMAND, MAX_ENV, MAX_ENV_NAME, MAX_IMAGE, Refusal, Resources};
pub use spec::{MALFORMED, MAX_SPEC_BYTES, SPEC_VERSION, SpecError};

/// How a workload runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum WorkloadKind {
    /// A program that runs to its end.
    #[default]
    Batch,
}

impl WorkloadKind {
    /// All that this version knows.
    pub const ALL: [Self; 1] = [Self::Batch];

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for WorkloadKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Batch => "Batch",
        })
    }
}

/// What to run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Workload {
    /// How it runs; left out of the public spec while it is the default.
    #[serde(default, skip_serializing_if = "WorkloadKind::is_default")]
    pub kind: WorkloadKind,
    /// Image, best by digest.
    pub image: String,
    /// Entry point; empty: the image's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Arguments; empty: the image's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Environment. Public: no secrets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<EnvVar>,
    /// GPUs.
    pub gpus: u32,
    /// CPU, a Kubernetes quantity; absent: the offer's share for its GPUs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
    /// Memory, a Kubernetes quantity in bytes; absent: the offer's share for its GPUs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    /// Ephemeral storage, a Kubernetes quantity in bytes; absent: the offer's share for its GPUs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<String>,
}

/// A literal environment variable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EnvVar {
    /// Name of the variable.
    pub name: String,
    /// Its value.
    #[serde(default)]
    pub value: String,
}
