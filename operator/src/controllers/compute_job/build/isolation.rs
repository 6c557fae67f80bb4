use hawser_crds::{ComputeJob, Egress, GpuOffer};
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::{Resource, ResourceExt};
use serde_json::{Value, json};

use super::{CA_CONFIG_MAP, CA_FILE, JOB_LABEL, SERVICE_ACCOUNT};
use crate::controllers::label_value;

/// Cloud metadata services: credentials of the node lie there.
const METADATA_ADDRESSES: [&str; 1] = ["169.254.0.0/16"];

/// Where a job's pod may connect to, and who may connect to it: nobody.
///
/// # Errors
/// Never; the serializer's error otherwise.
pub(crate) fn network_policy(
    job: &ComputeJob,
    offer: &GpuOffer,
    operator_namespace: &str,
    attestation_port: u16,
    cluster_cidrs: &[String],
) -> Result<NetworkPolicy, serde_json::Error> {
    let operator = json!({"matchLabels": {"kubernetes.io/metadata.name": operator_namespace}});
    let dns = json!({"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}});
    let mut egress = vec![
        json!({
            "to": [{"namespaceSelector": operator, "podSelector": {"matchLabels": {"app.kubernetes.io/name": "hawser"}}}],
            "ports": [{"protocol": "TCP", "port": attestation_port}]
        }),
        json!({
            "to": [{"namespaceSelector": dns}],
            "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]
        }),
    ];
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
        serde_json::to_value(network_policy(&job, &offer, "hawser-system", 9443, &cidrs).unwrap()).unwrap()
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
    fn the_internet_is_without_the_cluster_and_the_metadata_address() {
        let spec = &policy("Internet")["spec"];
        let block = |i: usize| spec["egress"][i]["to"][0]["ipBlock"].clone();
        assert_eq!(block(2), json!({"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8", "169.254.0.0/16"]}));
        assert_eq!(block(3), json!({"cidr": "::/0", "except": ["fd00::/8"]}));
    }
}
