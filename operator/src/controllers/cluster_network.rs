//! The cluster's own network, as it is found: where DNS answers its pods, and which addresses a job may not reach.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::ServiceCIDR;
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};
use tokio::sync::Mutex;

use super::{Error, Tried};
use crate::inventory::NodeFacts;

/// For how long what was found is believed.
const FRESH: Duration = Duration::from_mins(1);
/// Names the nameserver that the cluster gives to its pods, of which the operator is one.
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// Where DNS is asked.
const DNS_PORT: u16 = 53;

/// Where DNS answers pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dns {
    /// Nameservers of pods, and what answers behind them.
    pub addresses: BTreeSet<IpAddr>,
    /// Namespaces of the Services behind them: their pods may get other addresses.
    pub namespaces: BTreeSet<String>,
    /// Ports of either.
    pub ports: BTreeSet<u16>,
}

/// What the cluster's API tells of its network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub dns: Dns,
    /// Addresses of Services and of API servers.
    pub own: Vec<IpNet>,
}

/// Looks for it now and then.
pub(crate) struct ClusterNetwork {
    client: Client,
    found: Mutex<Option<(Instant, Found)>>,
}

impl ClusterNetwork {
    pub(crate) fn new(client: Client) -> Self {
        Self { client, found: Mutex::default() }
    }

    /// What was found within the last minute.
    pub(crate) async fn found(&self) -> Result<Found, Error> {
        let mut known = self.found.lock().await;
        if let Some((_, found)) = known.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return Ok(found.clone());
        }
        let found = self.look(&nameservers(&read(RESOLV_CONF.as_ref()).await)).await?;
        *known = Some((Instant::now(), found.clone()));
        Ok(found)
    }

    async fn look(&self, nameservers: &[IpAddr]) -> Result<Found, Error> {
        let mut found = Found::default();
        for nameserver in nameservers {
            found.dns.addresses.insert(*nameserver);
            found.dns.ports.insert(DNS_PORT);
            let services: Api<Service> = Api::all(self.client.clone());
            let behind = ListParams::default().fields(&format!("spec.clusterIP={nameserver}"));
            for service in services.list(&behind).await.tried(|| format!("Services with the address {nameserver}"))? {
                let namespace = service.namespace().unwrap_or_default();
                for slice in self.slices(&namespace, &service.name_any()).await? {
                    found.dns.answers(&slice);
                }
                found.dns.namespaces.insert(namespace);
            }
        }
        for slice in self.slices("default", "kubernetes").await? {
            found.own.extend(addresses(&slice).map(IpNet::from));
        }
        let ranges: Api<ServiceCIDR> = Api::all(self.client.clone());
        match ranges.list(&ListParams::default()).await {
            Ok(ranges) => found.own.extend(ranges.items.iter().flat_map(service_ranges)),
            // Before Kubernetes 1.33 the API doesn't tell.
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            Err(error) => return Err(error).tried(|| "ServiceCIDRs".to_owned()),
        }
        Ok(found)
    }

    async fn slices(&self, namespace: &str, service: &str) -> Result<Vec<EndpointSlice>, Error> {
        let slices: Api<EndpointSlice> = Api::namespaced(self.client.clone(), namespace);
        let of_service = ListParams::default().labels(&format!("kubernetes.io/service-name={service}"));
        let list = slices.list(&of_service).await;
        Ok(list.tried(|| format!("EndpointSlices of Service {namespace}/{service}"))?.items)
    }
}

impl Dns {
    fn answers(&mut self, slice: &EndpointSlice) {
        self.addresses.extend(addresses(slice));
        let numbers = slice.ports.iter().flatten().filter_map(|port| u16::try_from(port.port?).ok());
        // Metrics and health of a DNS server are nobody's business.
        let dns = |name: Option<&str>| name.is_none_or(|name| name.contains("dns"));
        let named = slice.ports.iter().flatten().map(|port| port.name.as_deref());
        self.ports.extend(numbers.zip(named).filter(|(_, name)| dns(*name)).map(|(number, _)| number));
    }
}

/// Everything that a job may not reach, each address once: what the administrator named, what the cluster tells, and the
/// nodes' own addresses and those of their pods.
pub(crate) fn own_ranges<'a>(
    named: impl IntoIterator<Item = IpNet>,
    found: &Found,
    nodes: impl IntoIterator<Item = &'a NodeFacts>,
) -> Vec<IpNet> {
    let mut all: Vec<IpNet> = named.into_iter().chain(found.own.iter().copied()).collect();
    all.extend(nodes.into_iter().flat_map(|node| node.ranges.iter().copied()));
    IpNet::aggregate(&all)
}

fn service_ranges(range: &ServiceCIDR) -> Vec<IpNet> {
    let cidrs = range.spec.iter().flat_map(|spec| spec.cidrs.iter().flatten());
    cidrs.filter_map(|cidr| cidr.parse().ok()).collect()
}

fn addresses(slice: &EndpointSlice) -> impl Iterator<Item = IpAddr> {
    let all = slice.endpoints.iter().flat_map(|endpoint| &endpoint.addresses);
    all.filter_map(|address| address.parse().ok())
}

async fn read(path: &Path) -> String {
    tokio::fs::read_to_string(path).await.unwrap_or_default()
}

/// Those of resolv.conf(5) that a pod can reach.
fn nameservers(resolv_conf: &str) -> Vec<IpAddr> {
    let lines = resolv_conf.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    let addresses = lines.filter_map(|address| address.trim().split('%').next()?.parse::<IpAddr>().ok());
    addresses.filter(|address| !address.is_loopback()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::inventory::Words;

    fn slice(address: &str, ports: &Value) -> EndpointSlice {
        serde_json::from_value(json!({
            "metadata": {"name": "s"}, "addressType": "IPv4",
            "endpoints": [{"addresses": [address]}], "ports": ports
        }))
        .unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn nameservers_are_read_as_the_resolver_reads_them() {
        for (text, expected) in [
            ("search a.svc b\nnameserver 10.96.0.10\noptions ndots:5\n", vec!["10.96.0.10"]),
            ("nameserver 169.254.20.10\nnameserver fd00::a\n", vec!["169.254.20.10", "fd00::a"]),
            ("# nameserver 1.1.1.1\nnameserver 127.0.0.53\nnameserver fe80::1%eth0\nnameserver x\n", vec!["fe80::1"]),
            ("", vec![]),
        ] {
            let expected: Vec<_> = expected.into_iter().map(ip).collect();
            assert_eq!(nameservers(text), expected, "{text:?}");
        }
    }

    #[test]
    fn dns_is_asked_where_and_on_which_ports_its_servers_listen() {
        let mut dns = Dns::default();
        dns.answers(&slice(
            "10.1.2.3",
            &json!([
                {"name": "dns", "port": 5353, "protocol": "UDP"}, {"name": "dns-tcp", "port": 5353, "protocol": "TCP"},
                {"name": "metrics", "port": 9154, "protocol": "TCP"}
            ]),
        ));
        dns.answers(&slice("198.18.0.2", &json!([{"port": 53}])));
        assert_eq!(dns.addresses, BTreeSet::from([ip("10.1.2.3"), ip("198.18.0.2")]));
        assert_eq!(dns.ports, BTreeSet::from([53, 5353]));
    }

    #[test]
    fn a_nodes_own_addresses_and_those_of_its_pods_are_the_clusters_own_each_once() {
        let node: k8s_openapi::api::core::v1::Node = serde_json::from_value(json!({
            "metadata": {"name": "a"},
            "spec": {"podCIDR": "172.30.4.0/24", "podCIDRs": ["172.30.4.0/24", "2001:db8:1::/64"]},
            "status": {"addresses": [
                {"type": "InternalIP", "address": "10.0.0.7"}, {"type": "ExternalIP", "address": "203.0.113.9"},
                {"type": "InternalIP", "address": "2001:db8::7"}, {"type": "Hostname", "address": "a"}
            ]}
        }))
        .unwrap();
        let found = Found { own: vec!["198.51.100.1/32".parse().unwrap()], ..Found::default() };
        let named = ["10.0.0.0/8", "172.30.4.0/23"].map(|range| range.parse().unwrap());
        let node = NodeFacts::of(&node, &mut Words::default());
        let own: BTreeSet<String> = own_ranges(named, &found, [&node]).iter().map(ToString::to_string).collect();
        let expected =
            ["10.0.0.0/8", "172.30.4.0/23", "198.51.100.1/32", "2001:db8:1::/64", "2001:db8::7/128", "203.0.113.9/32"];
        assert_eq!(own.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn the_range_of_services_is_read() {
        let range = serde_json::from_value(json!({"metadata": {"name": "k"}, "spec": {"cidrs": ["10.96.0.0/12"]}}));
        assert_eq!(service_ranges(&range.unwrap()), ["10.96.0.0/12".parse::<IpNet>().unwrap()]);
    }
}
