use std::{fs, path::PathBuf, thread, time::Instant};

use anyhow::{Context as _, Result, anyhow, bail};

use crate::{
    Endpoints, Layout, cgroup,
    components::{self, Tools},
    debian,
    endpoints::{REGISTRY_PORT, at},
    images, kubectl, leftovers,
    lock::Lock,
    manifests, network, nvidia,
    pki::Pki,
    preflight,
    process::{Identity, Spec, Supervisor},
    sysctls, teardown,
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
        let tools = Tools::build(&layout)?;
        let pause = pause_image_context(&layout, &tools)?;

        let begun = Instant::now();
        bring_up(&layout, &cluster.endpoints, &tools, &pause).context("the local cluster didn't come up (`cargo xtask cluster down` cleans up)")?;
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
            bail!("the local cluster is not up: run `cargo xtask cluster up`, or set HAWSER_KUBECONFIG to use an existing cluster");
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

    /// Stops, starts, kills and freezes single components, for fault tests.
    /// An existing cluster's are not in our hands.
    pub fn supervisor(&self) -> Result<&Supervisor> {
        self.local.as_ref().context("HAWSER_KUBECONFIG names the cluster, so its components can't be stopped and started")
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

/// Written when everything is ready, so its absence tells of an interrupted `up`.
fn mark(layout: &Layout) -> PathBuf {
    layout.state().join("up")
}

fn is_up(layout: &Layout) -> bool {
    let supervisor = Supervisor::new(layout);
    let runs = |name: &String| supervisor.identity(name).is_some_and(Identity::is_alive);
    mark(layout).exists() && supervisor.names().iter().all(runs)
}

fn bring_up(layout: &Layout, endpoints: &Endpoints, tools: &Tools, pause: &std::path::Path) -> Result<()> {
    fs::create_dir_all(layout.state()).with_context(|| format!("{} can't be created", layout.state().display()))?;
    sysctls::save(layout)?;
    cgroup::create()?;
    network::create()?;
    tools.link(layout)?;
    let pki = Pki::create(layout)?;
    let nvidia = nvidia::install(layout)?;
    for tool in &nvidia.tools {
        components::link(layout, tool)?;
    }
    components::write_containerd_configuration(layout, &nvidia.containerd_runtime)?;
    components::write_node_configuration(layout, &pki)?;
    components::write_corefile(layout, &pki)?;
    components::write_registry_configuration(layout)?;
    fs::create_dir_all(layout.state().join("s3"))?;

    let kubernetes = &tools.kubernetes;
    let supervisor = Supervisor::new(layout);
    start_together(
        &supervisor,
        &[
            components::etcd(layout, &tools.etcd),
            components::registry(layout),
            components::containerd(layout, &tools.containerd),
            components::s3(layout, endpoints, tools),
            components::anvil(layout, tools),
        ],
    )?;
    thread::scope(|scope| {
        let push = scope.spawn(|| push_pause_image(layout, pause));
        supervisor.run(&components::api_server(&layout.kubeconfig().display().to_string(), &pki, kubernetes))?;
        push.join().map_err(|_| anyhow!("the thread that pushes the pause image panicked"))?
    })?;
    kubectl::create(layout, "cluster-dns", &manifests::cluster_dns())?;
    start_together(
        &supervisor,
        &[
            components::kubelet(layout, &pki, kubernetes),
            components::controller_manager(&pki, kubernetes),
            components::scheduler(&pki, kubernetes),
            components::kube_proxy(layout, kubernetes),
            components::coredns(layout, &tools.coredns),
        ],
    )?;
    kubectl::wait_until_usable(layout)?;
    nvidia::start(layout, &supervisor)?;
    fs::write(mark(layout), "").context("the cluster can't be marked as up")
}

/// Starts components that don't need each other, and waits for all.
fn start_together(supervisor: &Supervisor, specs: &[Spec]) -> Result<()> {
    thread::scope(|scope| {
        let starting: Vec<_> = specs.iter().map(|spec| scope.spawn(|| supervisor.run(spec))).collect();
        starting.into_iter().try_for_each(|start| start.join().map_err(|_| anyhow!("a thread that starts a component panicked"))?)
    })
}

/// A directory that the pause image is built from.
fn pause_image_context(layout: &Layout, tools: &Tools) -> Result<PathBuf> {
    let containerfile = tools.pause.directory.join("Containerfile");
    if !containerfile.exists() {
        fs::write(&containerfile, "FROM scratch\nCOPY pause /pause\nUSER 65535:65535\nENTRYPOINT [\"/pause\"]\n")
            .with_context(|| format!("{} can't be written", containerfile.display()))?;
    }
    let _ = layout;
    Ok(tools.pause.directory.clone())
}

fn push_pause_image(layout: &Layout, context: &std::path::Path) -> Result<()> {
    let registry = at(REGISTRY_PORT).to_string();
    let name = components::PAUSE_IMAGE.trim_start_matches(&registry).trim_start_matches('/');
    images::publish(layout, &registry, name, context, &context.join("Containerfile")).map(drop)
}
