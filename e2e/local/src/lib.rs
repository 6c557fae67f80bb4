//! A real single-node Kubernetes on one Linux machine, with the registry, EVM
//! node and S3 server that Hawser's tests need, built from Go modules, npm and
//! Debian packages only.
//!
//! Everything runs in a network namespace and a cgroup of its own and keeps its
//! state under one directory, so [`Cluster::down`] can prove that nothing is
//! left. [`Cluster::up`] builds what the cache lacks, starts the components and
//! returns once the node is ready.

mod bring_up;
pub mod cache;
mod cgroup;
mod cluster;
mod command;
mod components;
pub mod debian;
mod device_plugins;
mod endpoints;
pub mod go;
pub mod images;
mod kubectl;
mod layout;
mod leftovers;
mod lock;
mod manifests;
mod mounts;
pub mod network;
pub mod npm;
pub mod nvidia;
mod pki;
mod plane;
mod poll;
pub mod ports;
mod preflight;
pub mod process;
mod sysctls;
mod teardown;
mod world;

pub use cgroup::is_of_the_cluster;
pub use cluster::{Cluster, ComponentStatus};
pub use command::{output, succeed};
pub use components::{geth, helm, kubeconform};
pub use endpoints::Endpoints;
pub use layout::Layout;
pub use leftovers::leftovers;
pub use plane::{Plane, Request};
pub use world::World;
