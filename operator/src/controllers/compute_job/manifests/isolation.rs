//! What keeps a job's pods apart from the cluster: the offer's `NetworkPolicy`, the pods' account without rights, and the CA
//! by which their meters know the operator. Pure.

use hawser_crds::{Egress, GpuOffer};
use ipnet::IpNet;
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::{Resource, ResourceExt};
use serde_json::{Value, json};

use hawser_proto::pod::CA_FILE;

use super::{CA_CONFIG_MAP, SERVICE_ACCOUNT};
use crate::controllers::cluster_network::Dns;
use crate::controllers::{OFFER_LABEL, label_value};

/// Cloud metadata services: credentials of the node lie there. All clouds' (link-local), Azure's `WireServer`,
/// Alibaba's, and AWS's over IPv6.
const METADATA_ADDRESSES: [&str; 4] = ["169.254.0.0/16", "168.63.129.16/32", "100.100.100.200/32", "fd00:ec2::254/128"];

/// What a job's pod has around it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Surroundings<'a> {
    pub operator_namespace: &'a str,
    /// Port of the attestation service's pods.
    pub attestation_port: u16,
    /// The pods are told where the attestation service is ([`super::with_host_alias`]).
    pub attestation_is_known: bool,
    pub dns: &'a Dns,
    /// The cluster's own addresses, each once.
    pub own: &'a [IpNet],
}

/// The name of an offer's policy.
fn policy_name(offer: &GpuOffer) -> String {
    format!("hawser-{}", label_value(&offer.name_any()))
}

/// Where the pods of an offer's jobs may connect to, and who may connect to them: nobody.
///
/// # Errors
/// Never; the serializer's error otherwise.
pub(crate) fn network_policy(offer: &GpuOffer, around: &Surroundings<'_>) -> Result<NetworkPolicy, serde_json::Error> {
    let operator = json!({"matchLabels": {"kubernetes.io/metadata.name": around.operator_namespace}});
    let mut egress = vec![json!({
        "to": [{"namespaceSelector": operator, "podSelector": {"matchLabels": {"app.kubernetes.io/name": "hawser"}}}],
        "ports": [{"protocol": "TCP", "port": around.attestation_port}]
    })];
    // Whoever may ask DNS can tell the world something: a job that may go nowhere gets none, if meter needs none.
    if offer.spec.isolation.egress != Egress::None || !around.attestation_is_known {
        egress.push(dns(around.dns));
    }
    if offer.spec.isolation.egress == Egress::Internet {
        let metadata = METADATA_ADDRESSES.iter().filter_map(|range| range.parse().ok());
        let own = IpNet::aggregate(&metadata.chain(around.own.iter().copied()).collect());
        let (v4, v6): (Vec<IpNet>, Vec<IpNet>) = own.into_iter().partition(|range| matches!(range, IpNet::V4(_)));
        egress.push(outside("0.0.0.0/0", &v4));
        egress.push(outside("::/0", &v6));
    }
    serde_json::from_value(json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": policy_name(offer),
            "namespace": offer.namespace(),
            "ownerReferences": offer.controller_owner_ref(&()).map(|owner| vec![owner]),
        },
        "spec": {
            "podSelector": {"matchLabels": {OFFER_LABEL: label_value(&offer.name_any())}},
            "policyTypes": ["Ingress", "Egress"],
            "egress": egress,
        }
    }))
}

/// Whatever answers names in this cluster: a cache on the node has an address of its own, and pods may get new ones.
fn dns(found: &Dns) -> Value {
    let namespace = |name: &str| json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}});
    let address = |address| json!({"ipBlock": {"cidr": IpNet::from(address).to_string()}});
    let mut to: Vec<_> = found.addresses.iter().copied().map(address).collect();
    to.extend(found.namespaces.iter().map(|name| namespace(name)));
    let mut ports: Vec<u16> = found.ports.iter().copied().collect();
    if to.is_empty() {
        // Where it stands by default.
        (to, ports) = (vec![namespace("kube-system")], vec![53]);
    }
    let protocols = ["UDP", "TCP"]
        .iter()
        .flat_map(|protocol| ports.iter().map(move |port| json!({"protocol": protocol, "port": port})));
    json!({"to": to, "ports": protocols.collect::<Vec<_>>()})
}

fn outside(all: &str, except: &[IpNet]) -> Value {
    let except: Vec<_> = except.iter().map(ToString::to_string).collect();
    json!({"to": [{"ipBlock": {"cidr": all, "except": except}}]})
}

/// The account of the jobs' pods.
///
/// # Errors
/// Never; the serializer's error otherwise.
pub(crate) fn service_account(namespace: &str) -> Result<ServiceAccount, serde_json::Error> {
    serde_json::from_value(json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": SERVICE_ACCOUNT, "namespace": namespace},
        "automountServiceAccountToken": false,
    }))
}

/// The CA by which meter knows the attestation service.
///
/// # Errors
/// Never; the serializer's error otherwise.
pub(crate) fn ca_config_map(namespace: &str, ca: &str) -> Result<ConfigMap, serde_json::Error> {
    serde_json::from_value(json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": CA_CONFIG_MAP, "namespace": namespace},
        "data": {CA_FILE: ca},
    }))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn policy(egress: &str, attestation_is_known: bool, dns: &Dns) -> Value {
        let offer: GpuOffer = serde_json::from_value(json!({
            "apiVersion": "hawser.dev/v1alpha1", "kind": "GpuOffer",
            "metadata": {"name": "h100", "namespace": "tenants", "uid": "u"},
            "spec": {
                "networkRef": "n", "gpu": {"product": "p"}, "isolation": {"egress": egress},
                "price": {"perGpuHour": "1", "token": "0x0000000000000000000000000000000000000001"}
            }
        }))
        .unwrap();
        let own = ["10.0.0.0/8", "fd00::/8"].map(|range| range.parse().unwrap());
        let around = Surroundings {
            operator_namespace: "hawser-system",
            attestation_port: 9443,
            attestation_is_known,
            dns,
            own: &own,
        };
        serde_json::to_value(network_policy(&offer, &around).unwrap()).unwrap()
    }

    #[test]
    fn one_policy_holds_for_all_pods_of_an_offer_and_goes_with_it() {
        let policy = policy("None", true, &Dns::default());
        assert_eq!(policy["metadata"]["name"], "hawser-h100");
        assert_eq!(policy["metadata"]["ownerReferences"][0]["kind"], "GpuOffer");
        assert_eq!(policy["spec"]["podSelector"], json!({"matchLabels": {"hawser.dev/offer": "h100"}}));
    }

    #[test]
    fn nobody_connects_to_a_job_and_without_internet_it_reaches_attestation_and_dns_only() {
        let spec = &policy("None", false, &Dns::default())["spec"];
        assert_eq!(spec["policyTypes"], json!(["Ingress", "Egress"]));
        assert!(spec.get("ingress").is_none());
        assert_eq!(spec["egress"].as_array().unwrap().len(), 2);
        assert_eq!(spec["egress"][0]["ports"][0]["port"], 9443);
        let system = json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}});
        assert_eq!(spec["egress"][1]["to"], json!([system]), "where nothing was found");
    }

    #[test]
    fn a_job_that_may_go_nowhere_has_no_dns_where_the_attestation_service_is_known_by_address() {
        let known = |egress| policy(egress, true, &Dns::default())["spec"]["egress"].clone();
        let nowhere = known("None");
        assert_eq!(nowhere.as_array().unwrap().len(), 1, "{nowhere}");
        assert_eq!(nowhere[0]["ports"], json!([{"protocol": "TCP", "port": 9443}]));
        assert_eq!(known("Internet")[1]["ports"][0]["port"], 53);
    }

    #[test]
    fn dns_is_reached_where_it_answers() {
        let found = Dns {
            addresses: ["169.254.20.10", "fd00::a"].map(|address| address.parse().unwrap()).into(),
            namespaces: BTreeSet::from(["openshift-dns".to_owned()]),
            ports: BTreeSet::from([53, 5353]),
        };
        let rule = &policy("Internet", true, &found)["spec"]["egress"][1];
        assert_eq!(
            rule["to"],
            json!([
                {"ipBlock": {"cidr": "169.254.20.10/32"}}, {"ipBlock": {"cidr": "fd00::a/128"}},
                {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "openshift-dns"}}}
            ])
        );
        let ports: Vec<_> = rule["ports"].as_array().unwrap().iter().map(|port| port["port"].clone()).collect();
        assert_eq!(ports, [53, 5353, 53, 5353]);
    }

    #[test]
    fn the_internet_is_without_the_cluster_and_the_metadata_address() {
        let spec = &policy("Internet", true, &Dns::default())["spec"];
        let block = |i: usize| spec["egress"][i]["to"][0]["ipBlock"].clone();
        assert_eq!(
            block(2),
            json!({"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8", "100.100.100.200/32", "168.63.129.16/32", "169.254.0.0/16"]})
        );
        // AWS's address lies in the range of the cluster.
        assert_eq!(block(3), json!({"cidr": "::/0", "except": ["fd00::/8"]}));
    }
}
