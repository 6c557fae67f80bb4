use anyhow::{Result, bail};
use clap::Subcommand;
use hawser_local::{Cluster, ComponentStatus, Layout, leftovers};

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

pub(crate) fn run(command: Command) -> Result<()> {
    match command {
        Command::Up => {
            Cluster::up()?;
            eprintln!("look around: eval \"$(cargo xtask cluster env)\" && kubectl get nodes,pods --all-namespaces");
            Ok(())
        }
        Command::Down => Cluster::down(),
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
    let mut table = format!("{:<26}{:<10}{:<10}{}\n", "COMPONENT", "VERSION", "STATE", "PID");
    for ComponentStatus { name, version, pid } in components {
        let (state, pid) = pid.map_or(("down", "-".to_owned()), |pid| ("up", pid.to_string()));
        table += &format!("{name:<26}{version:<10}{state:<10}{pid}\n");
    }
    table
}
