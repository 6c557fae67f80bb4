//! The way up: in which order the parts start, and what waits for what.

use std::{fs, thread, time::Instant};

use anyhow::{Context as _, Result, anyhow};

use crate::{
    Endpoints, Layout, cgroup,
    components::{self, Tools},
    endpoints::{REGISTRY_PORT, at},
    images, kubectl, manifests, network, nvidia,
    pki::Pki,
    process::{Spec, Supervisor},
    sysctls,
};

/// Brings the cluster up from nothing and returns when pods can be created.
pub(crate) fn run(layout: &Layout, endpoints: &Endpoints, tools: &Tools) -> Result<()> {
    let begun = Instant::now();
    let reached = |what: &str| eprintln!("{:5.1} s  {what}", begun.elapsed().as_secs_f32());
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
    components::write_audit_policy(layout)?;
    components::write_registry_configuration(layout)?;
    fs::create_dir_all(layout.state().join("s3"))?;

    reached("network, certificates, driver");

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
    reached("etcd, containerd, registry, S3 server, EVM node");
    thread::scope(|scope| {
        let push = scope.spawn(|| push_pause_image(layout, tools));
        supervisor.run(&components::api_server(layout, &pki, kubernetes))?;
        push.join().map_err(|_| anyhow!("the thread that pushes the pause image panicked"))?
    })?;
    kubectl::create(layout, "cluster-dns", &manifests::cluster_dns())?;
    kubectl::create(layout, "network-policies", &manifests::network_policies())?;
    reached("kube-apiserver");
    start_together(
        &supervisor,
        &[
            components::kubelet(layout, &pki, kubernetes),
            components::controller_manager(&pki, kubernetes),
            components::scheduler(&pki, kubernetes),
            components::kube_proxy(layout, kubernetes),
            components::coredns(layout, &tools.coredns),
            components::netpol(&pki, &tools.netpol),
        ],
    )?;
    components::queue_connections()?;
    reached("kubelet, controllers, scheduler, proxy, DNS, NetworkPolicies");
    kubectl::wait_until_usable(layout)?;
    reached("node ready");
    nvidia::start(layout, &supervisor)?;
    reached("GPUs");
    Ok(())
}

/// Starts components that don't need each other, and waits for all.
fn start_together(supervisor: &Supervisor, specs: &[Spec]) -> Result<()> {
    thread::scope(|scope| {
        let starting: Vec<_> = specs.iter().map(|spec| scope.spawn(|| supervisor.run(spec))).collect();
        starting
            .into_iter()
            .try_for_each(|start| start.join().map_err(|_| anyhow!("a thread that starts a component panicked"))?)
    })
}

fn push_pause_image(layout: &Layout, tools: &Tools) -> Result<()> {
    let registry = at(REGISTRY_PORT).to_string();
    let containerfile = layout.config().join("pause.Containerfile");
    fs::write(&containerfile, "FROM scratch\nCOPY pause /pause\nUSER 65535:65535\nENTRYPOINT [\"/pause\"]\n")
        .with_context(|| format!("{} can't be written", containerfile.display()))?;
    let name = components::PAUSE_IMAGE.trim_start_matches(&registry).trim_start_matches('/');
    let registry = images::Registry::unverified(&registry);
    images::publish(layout, registry, name, &tools.pause.directory, &containerfile).map(drop)
}
