//! kubelet and kube-proxy.

use anyhow::Result;
use serde_json::json;

use super::{NODE_NAME, write};
use crate::{
    Layout, cgroup,
    go::Built,
    network::{DNS_SERVICE, NODE, POD_CIDR},
    pki::Pki,
    process::{Ready, Spec},
};

pub(crate) fn kubelet(layout: &Layout, pki: &Pki, built: &Built) -> Spec {
    Spec::new("kubelet", &built.version, built.binary("kubelet"))
        .arg(format!("--config={}", layout.config().join("kubelet.json").display()))
        .arg(format!("--kubeconfig={}", pki.kubeconfig("kubelet").display()))
        .arg(format!("--root-dir={}", layout.state().join("kubelet").display()))
        .arg(format!("--cert-dir={}", layout.pki().join("kubelet").display()))
        .arg(format!("--hostname-override={NODE_NAME}"))
        .arg(format!("--node-ip={NODE}"))
        .ready(Ready::Http(([127, 0, 0, 1], 10248).into(), "/healthz".to_owned()))
}

pub(crate) fn kube_proxy(layout: &Layout, built: &Built) -> Spec {
    Spec::new("kube-proxy", &built.version, built.binary("kube-proxy"))
        .arg(format!("--config={}", layout.config().join("kube-proxy.json").display()))
        .ready(Ready::Http(([127, 0, 0, 1], 10256).into(), "/livez".to_owned()))
}

pub(crate) fn write_configuration(layout: &Layout, pki: &Pki) -> Result<()> {
    let kubelet = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": NODE,
        "authentication": {"anonymous": {"enabled": false}, "webhook": {"enabled": true}, "x509": {"clientCAFile": pki.file("ca.crt")}},
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroup::KUBELET_ROOT,
        "clusterDNS": [DNS_SERVICE],
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": format!("unix://{}", layout.containerd_socket().display()),
        // A test machine's disk may be nearly full; nothing here is worth evicting for.
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%", "nodefs.inodesFree": "1%"},
        "failCgroupV1": false,
        "failSwapOn": false,
        "fileCheckFrequency": "0s",
        "imageGCHighThresholdPercent": 99,
        "imageGCLowThresholdPercent": 98,
        "maxPods": 110,
        "nodeStatusReportFrequency": "1m",
        "nodeStatusUpdateFrequency": "5s",
        // One pull after the other, kubelet's default, lets a registry that drips bytes hold up every other job's image.
        "serializeImagePulls": false,
        // The machine may lack CAP_SYS_RESOURCE.
        "oomScoreAdj": 0,
        "podLogsDir": layout.state().join("pod-logs"),
        "podPidsLimit": 1024,
        // The machine's own resolver can't be reached from the namespace.
        "resolvConf": "",
        "shutdownGracePeriod": "0s",
    });
    let kube_proxy = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "bindAddress": "127.0.0.1",
        "clientConnection": {"kubeconfig": pki.kubeconfig("kube-proxy")},
        "clusterCIDR": POD_CIDR,
        // The table of connections is the machine's; its limits are not ours to set.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "healthzBindAddress": "127.0.0.1:10256",
        "hostnameOverride": NODE_NAME,
        "metricsBindAddress": "127.0.0.1:10249",
        "mode": "iptables",
    });
    write(&layout.config().join("kubelet.json"), &kubelet.to_string())?;
    write(&layout.config().join("kube-proxy.json"), &kube_proxy.to_string())
}
