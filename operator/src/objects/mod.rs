//! Kubernetes objects as this operator reads and names them: what the inventory and the controllers both know of them. Pure;
//! it imports neither.

pub(crate) mod pod_state;
mod termination;

use std::net::IpAddr;

use hawser_crds::{ComputeJob, OrderSource};
use ipnet::IpNet;
use k8s_openapi::api::core::v1::Node;

use crate::network::{JobId, On};

/// Namespace and name of an object.
pub(crate) type Name = (String, String);

/// Label of jobs and pods: the offer's name.
pub(crate) const OFFER_LABEL: &str = "hawser.dev/offer";
/// `ConfigMap` with the CA of the attestation service, in every namespace with jobs.
pub(crate) const CA_CONFIG_MAP: &str = "hawser-attestation-ca";
/// Finalizer of the jobs' pods: the last voucher was read.
pub(crate) const POD_FINALIZER: &str = "hawser.dev/voucher";

/// Whether nothing is owed for a job any more.
pub(crate) fn is_settled(job: &ComputeJob) -> bool {
    job.status.as_ref().is_some_and(|status| status.settled_at.is_some())
}

/// The order that a job names.
pub(crate) fn order_of(source: &OrderSource) -> On<JobId> {
    On::new(&source.network, &source.job_id)
}

/// A node's own addresses and those of its pods.
pub(crate) fn ranges_of(node: &Node) -> Vec<IpNet> {
    let addresses = node.status.iter().flat_map(|status| status.addresses.iter().flatten());
    let addresses = addresses.filter_map(|address| Some(IpNet::from(address.address.parse::<IpAddr>().ok()?)));
    let pods = node.spec.iter().flat_map(|spec| spec.pod_cidrs.iter().flatten().chain(&spec.pod_cidr));
    addresses.chain(pods.filter_map(|range| range.parse().ok())).collect()
}
