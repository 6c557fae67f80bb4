//! What is left of a cluster on this machine.

use std::process::Command;

use anyhow::Result;

use crate::{Layout, cgroup, command, debian::find_program, mounts, network};

/// Everything of the local cluster that this machine holds now, in words:
/// processes, mounts, cgroups, namespaces, links, iptables rules, files. Empty
/// after `down`.
pub fn leftovers(layout: &Layout) -> Result<Vec<String>> {
    let mut left: Vec<String> = cgroup::CLUSTER.processes()?.into_iter().map(|pid| format!("process {pid}")).collect();
    left.extend(mounts::beneath(layout.state())?.into_iter().map(|mount| format!("mount {}", mount.display())));
    left.extend(network::remains());
    left.extend(cgroup::CLUSTER.remains()?);
    left.extend(iptables_rules()?);
    if layout.state().exists() {
        left.push(format!("directory {}", layout.state().display()));
    }
    Ok(left)
}

/// Rules outside the namespace that name the cluster's addresses or come from
/// kube-proxy or kubelet.
fn iptables_rules() -> Result<Vec<String>> {
    if find_program("iptables-save").is_none() {
        return Ok(Vec::new());
    }
    let rules = command::output(&mut Command::new("iptables-save"))?;
    Ok(ours(&rules).map(|rule| format!("iptables rule {rule}")).collect())
}

fn ours(rules: &str) -> impl Iterator<Item = &str> {
    rules
        .lines()
        .filter(|rule| ["198.18.", "198.19.", "hawser-host", "hawser-local"].iter().any(|mark| rule.contains(mark)))
}

#[cfg(test)]
mod tests {
    use super::ours;

    #[test]
    fn only_rules_with_the_clusters_addresses_are_ours() {
        let rules = "*nat\n-A POSTROUTING -s 10.0.0.0/8 -j MASQUERADE\n-A KUBE-SERVICES -d 198.19.0.1/32 -j KUBE-SVC-X\n\
            -A KUBE-SERVICES -d 10.0.0.9/32 -m comment --comment \"hawser-system/hawser-metrics\" -j KUBE-SVC-Y\nCOMMIT\n";
        assert_eq!(ours(rules).collect::<Vec<_>>(), ["-A KUBE-SERVICES -d 198.19.0.1/32 -j KUBE-SVC-X"]);
    }
}
