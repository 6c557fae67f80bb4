//! The cluster's own network namespace and the veth pair that leads into it.
//!
//! Addresses are from 198.18.0.0/15, set aside for benchmarks (RFC 2544), so
//! they collide with nothing that a machine talks to.

use std::{fs::File, net::Ipv4Addr, path::Path, process::Command, thread};

use anyhow::{Context as _, Result, anyhow};
use nix::sched::{CloneFlags, setns};

use crate::command::succeed;

const NAMESPACE: &str = "hawser-local";
/// Outside end of the veth pair.
const HOST_LINK: &str = "hawser-host";
/// Inside end.
const NODE_LINK: &str = "hawser-node";

/// The machine, seen from pods and components.
pub const HOST: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
/// The node, seen from the machine and from pods.
pub const NODE: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 2);
pub const POD_CIDR: &str = "198.19.16.0/20";
pub const SERVICE_CIDR: &str = "198.19.0.0/20";
/// The first address of the service range: the API server's own.
pub const API_SERVICE: Ipv4Addr = Ipv4Addr::new(198, 19, 0, 1);
pub const DNS_SERVICE: Ipv4Addr = Ipv4Addr::new(198, 19, 0, 10);

fn namespace_file() -> &'static Path {
    Path::new("/run/netns/hawser-local")
}

/// Creates the namespace, its links and routes. Pods and services can be
/// reached from the machine through the veth pair; nothing is forwarded to or
/// from any other network.
pub(crate) fn create() -> Result<()> {
    ip(&["netns", "add", NAMESPACE])?;
    ip(&["link", "add", HOST_LINK, "type", "veth", "peer", "name", NODE_LINK, "netns", NAMESPACE])?;
    ip(&["addr", "add", &format!("{HOST}/30"), "dev", HOST_LINK])?;
    ip(&["link", "set", HOST_LINK, "up"])?;
    let node = NODE.to_string();
    for cidr in [POD_CIDR, SERVICE_CIDR] {
        ip(&["route", "add", cidr, "via", &node])?;
    }

    let inside = |args: &[&str]| ip(&[&["-netns", NAMESPACE], args].concat());
    inside(&["link", "set", "lo", "up"])?;
    inside(&["addr", "add", &format!("{NODE}/30"), "dev", NODE_LINK])?;
    inside(&["link", "set", NODE_LINK, "up"])?;
    // A service address needs some route before iptables can rewrite it.
    inside(&["route", "add", SERVICE_CIDR, "via", &HOST.to_string()])?;
    within(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "1"))?
        .context("forwarding inside the namespace can't be switched on")
}

/// Deletes the namespace and the links, whichever of them exist.
pub(crate) fn delete() -> Result<()> {
    if host_link_exists() {
        ip(&["link", "delete", HOST_LINK])?;
    }
    if namespace_file().exists() {
        // A half-made namespace is a plain file, which `ip` can't unmount.
        ip(&["netns", "delete", NAMESPACE])
            .or_else(|_| std::fs::remove_file(namespace_file()))
            .with_context(|| format!("{} can't be removed", namespace_file().display()))?;
    }
    Ok(())
}

/// What of the network exists, in words.
pub(crate) fn remains() -> Vec<String> {
    let namespace = namespace_file().exists().then(|| format!("network namespace {NAMESPACE}"));
    let link = host_link_exists().then(|| format!("link {HOST_LINK}"));
    namespace.into_iter().chain(link).collect()
}

fn host_link_exists() -> bool {
    Path::new("/sys/class/net").join(HOST_LINK).exists()
}

/// Runs `act` inside the cluster's network namespace. Only a thread of its own
/// enters it; processes that `act` starts are born there.
pub fn within<T: Send>(act: impl FnOnce() -> T + Send) -> Result<T> {
    let file = File::open(namespace_file())
        .with_context(|| format!("the local cluster is not up: there is no network namespace {NAMESPACE}"))?;
    thread::scope(|scope| {
        let inside = scope.spawn(move || {
            setns(file, CloneFlags::CLONE_NEWNET)
                .with_context(|| format!("network namespace {NAMESPACE} can't be entered"))?;
            Ok(act())
        });
        inside.join().map_err(|_| anyhow!("a thread in network namespace {NAMESPACE} panicked"))?
    })
}

fn ip(args: &[&str]) -> Result<()> {
    succeed(Command::new("ip").args(args))
}

/// Refuses to start where the machine itself uses the cluster's addresses.
pub(crate) fn check_addresses_are_free() -> Result<()> {
    let routes = crate::command::output(Command::new("ip").args([
        "-4",
        "route",
        "show",
        "table",
        "all",
        "root",
        "198.18.0.0/15",
    ]))?;
    match routes.lines().find(|route| !route.contains(HOST_LINK)) {
        Some(route) => Err(anyhow!(
            "the local cluster uses 198.18.0.0/15, and this machine has a route there already: `{}`; remove it or set HAWSER_KUBECONFIG",
            route.trim()
        )),
        None => Ok(()),
    }
}
