//! Objects that the cluster has from the start.

use serde_json::{Value, json};

use crate::network::{DNS_SERVICE, NODE};

/// Cluster DNS runs on the node, outside any pod: its Service has endpoints of
/// its own, and its user the rights that a pod of it would have.
pub(crate) fn cluster_dns() -> Value {
    let ports = |target: bool| {
        let port = |name: &str, protocol: &str| {
            let mut port = json!({"name": name, "protocol": protocol, "port": 53});
            if target {
                port["targetPort"] = json!(53);
            }
            port
        };
        json!([port("dns", "UDP"), port("dns-tcp", "TCP")])
    };
    let metadata = |name: &str| json!({"name": name, "namespace": "kube-system", "labels": {"k8s-app": "kube-dns", "kubernetes.io/name": "CoreDNS"}});
    let mut slice = metadata("kube-dns-node");
    slice["labels"]["kubernetes.io/service-name"] = json!("kube-dns");
    slice["labels"]["endpointslice.kubernetes.io/managed-by"] = json!("hawser-local");

    json!({
        "apiVersion": "v1",
        "kind": "List",
        "items": [
            {
                "apiVersion": "v1", "kind": "Service", "metadata": metadata("kube-dns"),
                "spec": {"clusterIP": DNS_SERVICE, "ports": ports(true)},
            },
            {
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": slice,
                "addressType": "IPv4", "endpoints": [{"addresses": [NODE], "conditions": {"ready": true}}], "ports": ports(false),
            },
            {
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "system:coredns"},
                "rules": [
                    {"apiGroups": [""], "resources": ["services", "pods", "namespaces"], "verbs": ["list", "watch"]},
                    {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
                ],
            },
            {
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "system:coredns"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:coredns"},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "system:coredns"}],
            },
        ],
    })
}

/// Who enforces a `NetworkPolicy` reads it, and the pods and namespaces that it selects.
pub(crate) fn network_policies() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "List",
        "items": [
            {
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "system:netpol"},
                "rules": [
                    {"apiGroups": [""], "resources": ["pods", "namespaces"], "verbs": ["list", "watch"]},
                    {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": ["list", "watch"]},
                ],
            },
            {
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "system:netpol"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:netpol"},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "system:netpol"}],
            },
        ],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dns_slice_belongs_to_the_dns_service_and_leads_to_the_node() {
        let list = cluster_dns();
        let (service, slice) = (&list["items"][0], &list["items"][1]);
        assert_eq!(slice["metadata"]["labels"]["kubernetes.io/service-name"], service["metadata"]["name"]);
        assert_eq!(slice["metadata"]["namespace"], service["metadata"]["namespace"]);
        assert_eq!(slice["endpoints"][0]["addresses"][0], "198.18.0.2");
        assert_eq!(service["spec"]["clusterIP"], "198.19.0.10");
    }
}
