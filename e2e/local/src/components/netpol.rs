//! `NetworkPolicy` objects, enforced: the first packet of each connection of a pod waits in a queue until its policies were read.

use std::process::Command;

use anyhow::{Context as _, Result};

use super::NODE_NAME;
use crate::{
    command::succeed,
    go::Built,
    network::{POD_CIDR, within},
    pki::Pki,
    process::{Ready, Spec},
};

const QUEUE: &str = "100";

pub(crate) fn netpol(pki: &Pki, built: &Built) -> Spec {
    Spec::new("netpol", &built.version, built.binary("netpol"))
        .arg(format!("--kubeconfig={}", pki.kubeconfig("netpol").display()))
        .arg(format!("--node={NODE_NAME}"))
        .arg(format!("--nfqueue-id={QUEUE}"))
        .ready(Ready::Http(([127, 0, 0, 1], 9081).into(), "/healthz".to_owned()))
}

/// Puts connections of pods into the queue: those that the node forwards, and those to the node itself. netpol's own
/// rules need a part of nftables that not every kernel has.
pub(crate) fn queue_connections() -> Result<()> {
    let queued = ["-m", "conntrack", "--ctstate", "NEW", "-j", "NFQUEUE", "--queue-num", QUEUE];
    let forwarded = [&["-I", "FORWARD"][..], &queued].concat();
    let to_the_node = [&["-I", "INPUT", "-s", POD_CIDR][..], &queued].concat();
    for rule in [forwarded, to_the_node] {
        within(|| succeed(Command::new("iptables").args(["--wait"]).args(&rule)))?
            .context("connections of pods can't be queued for NetworkPolicies")?;
    }
    Ok(())
}
