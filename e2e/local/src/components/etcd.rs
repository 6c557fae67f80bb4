//! etcd.

use crate::{
    Layout,
    go::Built,
    process::{Ready, Spec},
};

/// Inside the namespace only; nothing else can reach its loopback.
pub(crate) const ETCD_URL: &str = "http://127.0.0.1:2379";

/// etcd, which may forget everything at a crash of the machine: its life is
/// the cluster's.
pub(crate) fn etcd(layout: &Layout, built: &Built) -> Spec {
    Spec::new("etcd", &built.version, built.binary("etcd"))
        .arg(format!("--data-dir={}", layout.state().join("etcd").display()))
        .arg(format!("--listen-client-urls={ETCD_URL}"))
        .arg(format!("--advertise-client-urls={ETCD_URL}"))
        .arg("--listen-peer-urls=http://127.0.0.1:2380")
        .arg("--unsafe-no-fsync")
        .arg("--logger=zap")
        .arg("--log-level=warn")
        .ready(Ready::Http(([127, 0, 0, 1], 2379).into(), "/health".to_owned()))
}
