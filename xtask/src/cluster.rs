//! `cargo xtask cluster`: the local cluster by hand.

use anyhow::{Result, bail};
use clap::Subcommand;
use hawser_local::{Cluster, ComponentStatus, Layout, World, leftovers};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Build what is missing and start the cluster
    Up,
    /// Stop the cluster and remove everything it made
    Down,
    /// List the components; exit 1 unless all run
    Status,
    /// Print `export` lines for a shell: eval "$(cargo xtask cluster env)"
    Env,
}

pub(crate) fn run(command: &Command) -> Result<()> {
    match command {
        Command::Up => {
            Cluster::up()?;
            eprintln!("look around: eval \"$(cargo xtask cluster env)\" && kubectl get nodes,pods --all-namespaces");
            Ok(())
        }
        Command::Down => {
            World::delete_abandoned(&Layout::of_this_machine()?)?;
            Cluster::down()
        }
        Command::Status => status(),
        Command::Env => {
            print!("{}", Cluster::attach()?.endpoints().shell_exports());
            Ok(())
        }
    }
}

fn status() -> Result<()> {
    let components = Cluster::components()?;
    if components.is_empty() {
        let left = leftovers(&Layout::of_this_machine()?)?;
        match left.as_slice() {
            [] => bail!("the local cluster is down"),
            left => bail!("the local cluster is down, and this is left of it: {}", left.join("; ")),
        }
    }
    print!("{}", table(&components));
    match components.iter().filter(|component| component.pid.is_none()).count() {
        0 => Ok(()),
        down => bail!("{down} of {} components don't run: `cargo xtask cluster up` starts afresh", components.len()),
    }
}

fn table(components: &[ComponentStatus]) -> String {
    let header = row("COMPONENT", "VERSION", "STATE", "PID");
    let rows = components.iter().map(|ComponentStatus { name, version, pid }| match pid {
        Some(pid) => row(name, version, "up", &pid.to_string()),
        None => row(name, version, "down", "-"),
    });
    std::iter::once(header).chain(rows).collect()
}

fn row(name: &str, version: &str, state: &str, pid: &str) -> String {
    format!("{name:<26}{version:<10}{state:<8}{pid}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_that_does_not_run_is_listed_as_down() {
        let component = |name: &str, pid| ComponentStatus { name: name.to_owned(), version: "v1".to_owned(), pid };
        let table = table(&[component("etcd", Some(7)), component("kubelet", None)]);
        let columns: Vec<Vec<_>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(columns[1..], [["etcd", "v1", "up", "7"], ["kubelet", "v1", "down", "-"]]);
    }
}
