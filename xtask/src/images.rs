//! `cargo xtask images`: what a provider's cluster pulls.

use anyhow::Result;
use hawser_local::images::Registry;
use hawser_local::{Layout, debian};

use crate::artifacts;
use crate::workspace::{self, Profile};

/// Options of `cargo xtask images`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Where to push to, as the cluster's nodes name it. Log in with `buildah login HOST` where the registry wants it
    #[arg(long, value_name = "HOST[:PORT]/PATH")]
    registry: String,
    /// The registry speaks plain HTTP, or has a certificate that this machine doesn't trust
    #[arg(long)]
    insecure: bool,
}

/// Builds the programs as they are run for good, and pushes an image of each.
pub(crate) fn run(options: &Options) -> Result<()> {
    let layout = Layout::of_this_machine()?;
    debian::require_for_images(&[])?;
    workspace::build(&layout, Profile::Release)?;
    let address = options.registry.trim_end_matches('/');
    let registry = if options.insecure { Registry::unverified(address) } else { Registry::verified(address) };
    let images = artifacts::hawser(&layout, registry, Profile::Release)?;
    println!("{}", values(&images.operator, &images.sidecar));
    Ok(())
}

/// Values of the chart `hawser`.
fn values(operator: &str, sidecar: &str) -> String {
    format!("image:\n  reference: {operator}\nsidecar:\n  image:\n    reference: {sidecar}")
}
