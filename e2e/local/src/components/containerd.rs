//! containerd and its configuration: the local registry, and runtimes by name.

use std::path::Path;

use anyhow::Result;
use serde_json::json;

use super::write;
use crate::{
    Layout, debian,
    endpoints::{REGISTRY_PORT, at},
    go::Built,
    network::POD_CIDR,
    process::{Ready, Spec},
};

/// Pushed to the local registry before kubelet starts.
pub(crate) const PAUSE_IMAGE: &str = "198.18.0.2:5000/hawser/pause:1";

pub(crate) fn containerd(layout: &Layout, built: &Built) -> Spec {
    Spec::new("containerd", &built.version, built.binary("containerd"))
        .arg(format!("--config={}", layout.config().join("containerd.toml").display()))
        .ready(Ready::Socket(layout.containerd_socket()))
}

/// `runtimes` are further tables for the CRI plugin.
pub(crate) fn write_configuration(layout: &Layout, runtimes: &str) -> Result<()> {
    write(&layout.config().join("containerd.toml"), &render(layout, runtimes))?;
    write(&layout.config().join("cni/10-hawser.conflist"), &render_cni(layout.state()))?;
    allow_plain_http(layout, &at(REGISTRY_PORT).to_string())
}

/// Lets kubelet pull from `registry` (`host:port`) over plain HTTP. containerd
/// reads this at each pull.
pub(crate) fn allow_plain_http(layout: &Layout, registry: &str) -> Result<()> {
    let hosts = layout.config().join("certs.d").join(registry).join("hosts.toml");
    write(&hosts, &format!("server = \"http://{registry}\"\n"))
}

fn render(layout: &Layout, runtimes: &str) -> String {
    let state = layout.state().display();
    let config = layout.config();
    let config = config.display();
    let socket = layout.containerd_socket();
    let socket = socket.display();
    let (plugins, runc) = (debian::CNI_PLUGINS, debian::RUNC);
    format!(
        r#"version = 3
root = "{state}/containerd/root"
state = "{state}/containerd/run"
disabled_plugins = ["io.containerd.nri.v1.nri"]

[grpc]
  address = "{socket}"

# The machine may lack CAP_SYS_RESOURCE. Pods' namespaces go with the state directory.
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  enable_cdi = true
  cdi_spec_dirs = ["/etc/cdi", "/var/run/cdi"]
  netns_mounts_under_state_dir = true
  ignore_image_defined_volumes = true

[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["{plugins}"]
  conf_dir = "{config}/cni"

[plugins."io.containerd.cri.v1.runtime".containerd]
  default_runtime_name = "runc"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
  BinaryName = "{runc}"
  Root = "{state}/runc"

[plugins."io.containerd.cri.v1.images"]
  image_pull_progress_timeout = "1m0s"

[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "{PAUSE_IMAGE}"

[plugins."io.containerd.cri.v1.images".registry]
  config_path = "{config}/certs.d"

{runtimes}"#
    )
}

/// Each pod gets a routed link of its own (ptp), so traffic between pods passes
/// iptables like any other: a bridge would need `br_netfilter` for that.
fn render_cni(state: &Path) -> String {
    json!({
        "cniVersion": "1.0.0",
        "name": "hawser",
        "plugins": [
            {
                "type": "ptp",
                "ipMasq": false,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": POD_CIDR}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                    "dataDir": state.join("cni"),
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> Layout {
        Layout::new("/cache", "/state")
    }

    #[test]
    fn everything_that_containerd_keeps_lies_beneath_the_state_directory() {
        let rendered = render(&layout(), "");
        for line in [
            r#"root = "/state/containerd/root""#,
            r#"state = "/state/containerd/run""#,
            "netns_mounts_under_state_dir = true",
            "ignore_image_defined_volumes = true",
            r#"Root = "/state/runc""#,
            r#"config_path = "/state/config/certs.d""#,
        ] {
            assert!(rendered.contains(line), "{line} is not in\n{rendered}");
        }
        assert!(render_cni(Path::new("/state")).contains(r#""dataDir":"/state/cni""#));
    }

    #[test]
    fn further_runtimes_come_last_as_tables_of_their_own() {
        let tables = "[plugins.\"io.containerd.cri.v1.runtime\".containerd.runtimes.nvidia]\n";
        assert!(render(&layout(), tables).ends_with(&format!("\n\n{tables}")));
    }

    #[test]
    fn a_registry_over_plain_http_is_named_by_host_and_port() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path(), dir.path());
        allow_plain_http(&layout, "198.18.0.1:5999").unwrap();
        let hosts = std::fs::read_to_string(dir.path().join("config/certs.d/198.18.0.1:5999/hosts.toml")).unwrap();
        assert_eq!(hosts, "server = \"http://198.18.0.1:5999\"\n");
    }
}
