//! kube-apiserver, kube-controller-manager and kube-scheduler.

use std::path::PathBuf;

use anyhow::Result;
use serde_json::json;

use crate::{
    Layout,
    go::Built,
    network::{NODE, POD_CIDR, SERVICE_CIDR},
    pki::Pki,
    process::{Ready, Spec},
};

use super::{etcd::ETCD_URL, write};

/// kube-apiserver with RBAC and the default admission plugins, Pod Security and `ValidatingAdmissionPolicy` among them.
/// It logs who asked for what, so that tests can compare what an account may do with what it does.
pub(crate) fn api_server(layout: &Layout, pki: &Pki, built: &Built) -> Spec {
    let file = |name: &str| pki.file(name).display().to_string();
    let kubeconfig = layout.kubeconfig().display().to_string();
    Spec::new("kube-apiserver", &built.version, built.binary("kube-apiserver"))
        .arg(format!("--advertise-address={NODE}"))
        .arg("--allow-privileged=true")
        .arg(format!("--audit-log-path={}", layout.audit_log().display()))
        .arg(format!("--audit-policy-file={}", audit_policy(layout).display()))
        .arg("--authorization-mode=Node,RBAC")
        .arg(format!("--client-ca-file={}", file("ca.crt")))
        .arg("--enable-admission-plugins=NodeRestriction")
        .arg(format!("--etcd-servers={ETCD_URL}"))
        // Off by default in 1.34 (KEP-3962): adds containers to pods as the webhooks of service meshes do.
        .arg("--feature-gates=MutatingAdmissionPolicy=true")
        .arg("--runtime-config=admissionregistration.k8s.io/v1beta1=true")
        .arg(format!("--kubelet-client-certificate={}", file("kube-apiserver-kubelet-client.crt")))
        .arg(format!("--kubelet-client-key={}", file("kube-apiserver-kubelet-client.key")))
        .arg("--kubelet-preferred-address-types=InternalIP")
        .arg("--profiling=false")
        .arg("--secure-port=6443")
        .arg("--service-account-issuer=https://kubernetes.default.svc.cluster.local")
        .arg(format!("--service-account-key-file={}", file("service-accounts.pub")))
        .arg(format!("--service-account-signing-key-file={}", file("service-accounts.key")))
        .arg(format!("--service-cluster-ip-range={SERVICE_CIDR}"))
        .arg(format!("--tls-cert-file={}", file("kube-apiserver.crt")))
        .arg(format!("--tls-private-key-file={}", file("kube-apiserver.key")))
        // A stop waits for no watcher.
        .arg("--shutdown-send-retry-after=false")
        .ready(Ready::Succeeds(
            built.binary("kubectl"),
            vec!["--kubeconfig".to_owned(), kubeconfig, "get".to_owned(), "--raw=/readyz".to_owned()],
        ))
}

fn audit_policy(layout: &Layout) -> PathBuf {
    layout.config().join("audit-policy.json")
}

/// What service accounts outside kube-system ask for, without the bodies.
pub(crate) fn write_audit_policy(layout: &Layout) -> Result<()> {
    let policy = json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            { "level": "None", "userGroups": ["system:serviceaccounts:kube-system"] },
            { "level": "Metadata", "userGroups": ["system:serviceaccounts"] },
            { "level": "None" },
        ],
    });
    write(&audit_policy(layout), &policy.to_string())
}

/// All controllers, with a service account each.
pub(crate) fn controller_manager(pki: &Pki, built: &Built) -> Spec {
    let kubeconfig = pki.kubeconfig("kube-controller-manager").display().to_string();
    Spec::new("kube-controller-manager", &built.version, built.binary("kube-controller-manager"))
        .arg("--bind-address=127.0.0.1")
        .arg(format!("--kubeconfig={kubeconfig}"))
        .arg(format!("--authentication-kubeconfig={kubeconfig}"))
        .arg(format!("--authorization-kubeconfig={kubeconfig}"))
        .arg("--allocate-node-cidrs=true")
        .arg(format!("--cluster-cidr={POD_CIDR}"))
        // The whole range for the one node.
        .arg("--node-cidr-mask-size=20")
        // A ready node loses its taint of the first seconds that much sooner.
        .arg("--node-monitor-period=1s")
        .arg("--leader-elect=false")
        .arg("--profiling=false")
        .arg(format!("--root-ca-file={}", pki.file("ca.crt").display()))
        .arg(format!("--service-account-private-key-file={}", pki.file("service-accounts.key").display()))
        .arg("--use-service-account-credentials=true")
        .ready(Ready::Tcp(([127, 0, 0, 1], 10257).into()))
}

pub(crate) fn scheduler(pki: &Pki, built: &Built) -> Spec {
    let kubeconfig = pki.kubeconfig("kube-scheduler").display().to_string();
    Spec::new("kube-scheduler", &built.version, built.binary("kube-scheduler"))
        .arg("--bind-address=127.0.0.1")
        .arg(format!("--kubeconfig={kubeconfig}"))
        .arg(format!("--authentication-kubeconfig={kubeconfig}"))
        .arg(format!("--authorization-kubeconfig={kubeconfig}"))
        .arg("--leader-elect=false")
        .arg("--profiling=false")
        .ready(Ready::Tcp(([127, 0, 0, 1], 10259).into()))
}
