//! What `cargo xtask` prepared and hands over in environment variables: a
//! cluster, an EVM node, an S3 server, images and programs.

use std::path::PathBuf;

use anyhow::{Context, Result};

/// Everything that a run needs from outside of this crate.
#[derive(Clone, Debug)]
pub struct Environment {
    /// JSON-RPC of the EVM node, as pods and this process reach it.
    pub rpc_url: String,
    /// S3 endpoint, as pods and this process reach it.
    pub s3_url: String,
    /// S3 credentials of the test server.
    pub s3_access_key: String,
    /// S3 credentials of the test server.
    pub s3_secret_key: String,
    /// Registry host and port.
    pub registry: String,
    /// Digest reference of the operator's image.
    pub operator_image: String,
    /// Digest reference of the sidecar's image.
    pub sidecar_image: String,
    /// Digest reference of the POV-Ray customer image.
    pub povray_image: String,
    /// Digest reference of a customer image whose own variables try to steer loaders and NVIDIA's runtime.
    pub steering_image: String,
    /// The customer's `hawser` program.
    pub hawser: PathBuf,
    /// Root of the checkout (charts, manifests).
    pub root: PathBuf,
}

impl Environment {
    /// Reads the variables that `cargo xtask` sets.
    ///
    /// # Errors
    /// Names the first variable that is missing.
    pub fn read() -> Result<Self> {
        Ok(Self {
            rpc_url: variable("HAWSER_RPC_URL")?,
            s3_url: variable("HAWSER_S3_URL")?,
            s3_access_key: variable("HAWSER_S3_ACCESS_KEY")?,
            s3_secret_key: variable("HAWSER_S3_SECRET_KEY")?,
            registry: variable("HAWSER_REGISTRY")?,
            operator_image: variable("HAWSER_OPERATOR_IMAGE")?,
            sidecar_image: variable("HAWSER_SIDECAR_IMAGE")?,
            povray_image: variable("HAWSER_POVRAY_IMAGE")?,
            steering_image: variable("HAWSER_STEERING_IMAGE")?,
            hawser: variable("HAWSER_CLI")?.into(),
            root: variable("HAWSER_ROOT")?.into(),
        })
    }
}

pub(crate) fn variable(name: &str) -> Result<String> {
    std::env::var(name)
        .with_context(|| format!("{name} is not set; run this through `cargo xtask demo` or `cargo xtask test`"))
}
