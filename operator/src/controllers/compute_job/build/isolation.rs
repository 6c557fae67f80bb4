use std::net::IpAddr;

use hawser_crds::{ComputeJob, Egress, GpuOffer};
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::{Resource, ResourceExt};
use serde_json::{Value, json};

use super::{CA_CONFIG_MAP, CA_FILE, JOB_LABEL, SERVICE_ACCOUNT};
use crate::controllers::label_value;

/// Cloud metadata services: credentials of the node lie there. All clouds' (link-local), Azure's `WireServer`,
/// Alibaba's, and AWS's over IPv6.
const METADATA_ADDRESSES: [&str; 4] = ["169.254.0.0/16", "168.63.129.16/32", "100.100.100.200/32", "fd00:ec2::254/128"];

/// How the jobs' pods find the attestation service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attestation {
    /// Its pods' port.
    pub port: u16,
    /// The Service's address, where the pod is told it ([`super::knowing`]) or its URL says it; absent: by DNS.
    pub address: Option<IpAddr>,
}

impl From<u16> for Attestation {
    fn from(port: u16) -> Self {
        Self { port, address: None }
    }
}

/// Where a job's pod may connect to, and who may connect to it: nobody.
///
/// # Errors
/// Never; the serializer's error otherwise.
pub(crate) fn network_policy(
    job: &ComputeJob,
    offer: &GpuOffer,
    operator_namespace: &str,
    attestation: impl Into<Attestation>,
    cluster_cidrs: &[String],
) -> Result<NetworkPolicy, serde_json::Error> {
    let Attestation { port, address } = attestation.into();
    let operator = json!({"matchLabels": {"kubernetes.io/metadata.name": operator_namespace}});
    let dns = json!({"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}});
    let mut egress = vec![json!({
        "to": [{"namespaceSelector": operator, "podSelector": {"matchLabels": {"app.kubernetes.io/name": "hawser"}}}],
        "ports": [{"protocol": "TCP", "port": port}]
    })];
    // Whoever may ask DNS can tell the world something: a job that may go nowhere gets none, if meter needs none.
    if offer.spec.isolation.egress != Egress::None || address.is_none() {
        egress.push(json!({
            "to": [{"namespaceSelector": dns}],
            "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]
        }));
    }
    if offer.spec.isolation.egress == Egress::Internet {
        let (v6, v4): (Vec<&str>, Vec<&str>) =
            cluster_cidrs.iter().map(String::as_str).chain(METADATA_ADDRESSES).partition(|cidr| cidr.contains(':'));
        egress.push(outside("0.0.0.0/0", &v4));
        egress.push(outside("::/0", &v6));
    }
    serde_json::from_value(json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": job.name_any(),
            "namespace": job.namespace(),
            "ownerReferences": job.controller_owner_ref(&()).map(|owner| vec![owner]),
        },
        "spec": {
            "podSelector": {"matchLabels": {JOB_LABEL: label_value(&job.name_any())}},
            "policyTypes": ["Ingress", "Egress"],
            "egress": egress,
        }
    }))
}

fn outside(all: &str, except: &[&str]) -> Value {
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
    use super::*;

    fn policy(egress: &str) -> Value {
        policy_with(egress, 9443)
    }

    fn policy_with(egress: &str, attestation: impl Into<Attestation>) -> Value {
        let offer = serde_json::from_value(json!({
            "apiVersion": "hawser.dev/v1alpha1", "kind": "GpuOffer", "metadata": {"name": "h100"},
            "spec": {
                "networkRef": "n", "gpu": {"product": "p"}, "isolation": {"egress": egress},
                "price": {"perGpuHour": "1", "token": "0x0000000000000000000000000000000000000001"}
            }
        }))
        .unwrap();
        let job = serde_json::from_value(json!({
            "apiVersion": "hawser.dev/v1alpha1", "kind": "ComputeJob",
            "metadata": {"name": "job-1", "namespace": "tenants", "uid": "u"},
            "spec": {"offerRef": "h100", "workload": {"image": "i", "gpus": 1}}
        }))
        .unwrap();
        let cidrs = ["10.0.0.0/8".to_owned(), "fd00::/8".to_owned()];
        serde_json::to_value(network_policy(&job, &offer, "hawser-system", attestation, &cidrs).unwrap()).unwrap()
    }

    #[test]
    fn nobody_connects_to_a_job_and_without_internet_it_reaches_attestation_and_dns_only() {
        let spec = &policy("None")["spec"];
        assert_eq!(spec["policyTypes"], json!(["Ingress", "Egress"]));
        assert!(spec.get("ingress").is_none());
        assert_eq!(spec["egress"].as_array().unwrap().len(), 2);
        assert_eq!(spec["egress"][0]["ports"][0]["port"], 9443);
    }

    #[test]
    fn a_job_that_may_go_nowhere_has_no_dns_where_the_attestation_service_is_known_by_address() {
        let known = |egress| {
            let address = Some("10.96.0.7".parse().unwrap());
            policy_with(egress, Attestation { port: 9443, address })["spec"]["egress"].clone()
        };
        let nowhere = known("None");
        assert_eq!(nowhere.as_array().unwrap().len(), 1, "{nowhere}");
        assert_eq!(nowhere[0]["ports"], json!([{"protocol": "TCP", "port": 9443}]));
        assert_eq!(known("Internet")[1]["ports"][0]["port"], 53);
    }

    #[test]
    fn the_internet_is_without_the_cluster_and_the_metadata_address() {
        let spec = &policy("Internet")["spec"];
        let block = |i: usize| spec["egress"][i]["to"][0]["ipBlock"].clone();
        assert_eq!(
            block(2),
            json!({"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8", "169.254.0.0/16", "168.63.129.16/32", "100.100.100.200/32"]})
        );
        assert_eq!(block(3), json!({"cidr": "::/0", "except": ["fd00::/8", "fd00:ec2::254/128"]}));
    }
}
