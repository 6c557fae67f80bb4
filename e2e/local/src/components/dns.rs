//! Cluster DNS, and its configuration.

use anyhow::Result;

use super::write;
use crate::{
    Layout,
    go::Built,
    network::NODE,
    pki::Pki,
    process::{Ready, Spec},
};

/// Cluster DNS, on the node's address; the Service `kube-system/kube-dns` leads to it.
pub(crate) fn coredns(layout: &Layout, built: &Built) -> Spec {
    Spec::new("coredns", &built.version, built.binary("coredns"))
        .arg(format!("-conf={}", layout.config().join("Corefile").display()))
        .ready(Ready::Http(([127, 0, 0, 1], 8181).into(), "/ready".to_owned()))
}

pub(crate) fn write_corefile(layout: &Layout, pki: &Pki) -> Result<()> {
    write(&layout.config().join("Corefile"), &render(&pki.kubeconfig("coredns").display().to_string()))
}

/// Names outside the cluster don't exist, and the answer says so at once: there
/// is no way out of the namespace.
fn render(kubeconfig: &str) -> String {
    format!(
        "cluster.local:53 in-addr.arpa:53 {{
    bind {NODE}
    errors
    ready 127.0.0.1:8181
    kubernetes cluster.local in-addr.arpa {{
        kubeconfig {kubeconfig}
        ttl 5
    }}
}}

.:53 {{
    bind {NODE}
    template ANY ANY {{
        rcode NXDOMAIN
    }}
}}
"
    )
}

#[cfg(test)]
mod tests {
    use super::render;

    #[test]
    fn names_outside_the_cluster_are_answered_at_once() {
        let corefile = render("/state/pki/coredns.kubeconfig");
        assert!(corefile.contains("kubeconfig /state/pki/coredns.kubeconfig\n"), "{corefile}");
        assert!(corefile.contains("rcode NXDOMAIN"), "{corefile}");
        assert_eq!(corefile.matches('{').count(), corefile.matches('}').count());
    }
}
