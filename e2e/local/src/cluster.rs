//! The cluster as its users see it: up, down, attach, status.

use std::{fs, path::PathBuf, time::Instant};

use anyhow::{Context as _, Result, bail};

use crate::{
    Endpoints, Layout, bring_up,
    components::{self, Tools},
    debian, leftovers,
    lock::Lock,
    network, nvidia, preflight,
    process::{Identity, Supervisor},
    teardown,
};

/// A cluster that is up: the local one, or the one that `HAWSER_KUBECONFIG` names.
#[derive(Debug)]
pub struct Cluster {
    endpoints: Endpoints,
    local: Option<Supervisor>,
}

/// One line of `cluster status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentStatus {
    pub name: String,
    pub version: String,
    /// `None` when it doesn't run.
    pub pid: Option<u32>,
}

impl Cluster {
    /// Brings the local cluster up, unless it is up already or `HAWSER_KUBECONFIG`
    /// names another. Remains of a crash are taken down first.
    pub fn up() -> Result<Self> {
        if let Some(endpoints) = Endpoints::of_existing_cluster()? {
            return Ok(Self { endpoints, local: None });
        }
        let layout = Layout::of_this_machine()?;
        preflight::check_platform()?;
        let _lock = Lock::acquire()?;
        let cluster = Self::local(&layout);
        if is_up(&layout) {
            eprintln!("the local cluster is up already");
            return Ok(cluster);
        }
        if !leftovers(&layout)?.is_empty() {
            eprintln!("taking down what is left of the last local cluster");
            teardown::run(&layout)?;
        }
        preflight::check()?;
        debian::install_missing()?;
        network::check_addresses_are_free()?;
        let tools = Tools::build(&layout)?;
        nvidia::build(&layout)?;

        let begun = Instant::now();
        bring_up::run(&layout, &cluster.endpoints, &tools)
            .context("the local cluster didn't come up (`cargo xtask cluster down` cleans up)")?;
        let mark = mark(&layout);
        fs::write(&mark, Supervisor::new(&layout).names().join("\n"))
            .with_context(|| format!("{} can't be written", mark.display()))?;
        eprintln!("the local cluster is up after {:.1} s", begun.elapsed().as_secs_f32());
        Ok(cluster)
    }

    /// The cluster that is up already.
    pub fn attach() -> Result<Self> {
        if let Some(endpoints) = Endpoints::of_existing_cluster()? {
            return Ok(Self { endpoints, local: None });
        }
        let layout = Layout::of_this_machine()?;
        if !is_up(&layout) {
            bail!(
                "the local cluster is not up: run `cargo xtask cluster up`, or set HAWSER_KUBECONFIG to use an existing cluster"
            );
        }
        Ok(Self::local(&layout))
    }

    /// Takes the local cluster down, whatever state it is in, and fails if
    /// anything of it is left. An existing cluster is never touched.
    pub fn down() -> Result<()> {
        if Endpoints::of_existing_cluster()?.is_some() {
            eprintln!("HAWSER_KUBECONFIG names the cluster, so there is nothing to take down");
            return Ok(());
        }
        preflight::check_platform()?;
        let _lock = Lock::acquire()?;
        teardown::run(&Layout::of_this_machine()?)
    }

    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Whether it is the local one, and not one that `HAWSER_KUBECONFIG` names.
    pub fn is_ours(&self) -> bool {
        self.local.is_some()
    }

    /// Stops, starts, kills and freezes single components, for fault tests.
    /// An existing cluster's are not in our hands.
    pub fn supervisor(&self) -> Result<&Supervisor> {
        self.local
            .as_ref()
            .context("HAWSER_KUBECONFIG names the cluster, so its components can't be stopped and started")
    }

    /// Lets kubelet pull from another registry (`host:port`) over plain HTTP, as
    /// it does from the cluster's own. An existing cluster's owner has to do that.
    pub fn allow_plain_http(&self, registry: &str) -> Result<()> {
        self.supervisor()?;
        components::allow_plain_http(&Layout::of_this_machine()?, registry)
    }

    /// The local cluster's components, whether it is up or not.
    pub fn components() -> Result<Vec<ComponentStatus>> {
        let supervisor = Supervisor::new(&Layout::of_this_machine()?);
        supervisor
            .names()
            .into_iter()
            .map(|name| {
                let pid = supervisor.identity(&name).filter(|identity| identity.is_alive()).map(Identity::pid);
                Ok(ComponentStatus { version: supervisor.spec(&name)?.version, name, pid })
            })
            .collect()
    }

    fn local(layout: &Layout) -> Self {
        Self { endpoints: Endpoints::local(layout), local: Some(Supervisor::new(layout)) }
    }
}

/// The names of all components, written when the last of them is ready: its
/// absence tells of an interrupted `up`.
fn mark(layout: &Layout) -> PathBuf {
    layout.state().join("up")
}

fn is_up(layout: &Layout) -> bool {
    let supervisor = Supervisor::new(layout);
    let runs = |name: &str| supervisor.identity(name).is_some_and(Identity::is_alive);
    fs::read_to_string(mark(layout)).is_ok_and(|names| names.lines().all(runs))
}
