use std::path::Path;

use anyhow::{Result, ensure};
use hawser_local::{Layout, helm};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, RoleBinding};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams};
use tokio::process::Command;

use crate::scene::{OFFERS, SYSTEM, Scene};

const JOBS: &str = "hawser-jobs";

/// The release before had the rights that start pods in one role that counted everywhere.
#[tokio::test]
async fn an_upgrade_keeps_the_rights_where_offers_are_and_nobody_else_gets_any() -> Result<()> {
    let scene = Scene::new().await?;
    scene.price("offer", 1).await?;
    chart(&scene, &[]).await?;
    ensure!(bound(&scene).await?.is_empty(), "a new installation has rights in {:?}", bound(&scene).await?);

    Api::<ClusterRole>::all(scene.client.clone()).delete(JOBS, &DeleteParams::default()).await?;
    chart(&scene, &[]).await?;
    ensure!(bound(&scene).await? == [OFFERS], "the upgrade gave rights in {:?}", bound(&scene).await?);
    // From the next one on the chart does not speak of them any more.
    chart(&scene, &["jobNamespaces={default}"]).await?;
    ensure!(bound(&scene).await? == ["default", OFFERS], "there are rights in {:?}", bound(&scene).await?);
    chart(&scene, &[]).await?;
    ensure!(bound(&scene).await? == [OFFERS], "there are rights in {:?}", bound(&scene).await?);

    // What somebody took away stays away.
    let binding: Api<RoleBinding> = Api::namespaced(scene.client.clone(), OFFERS);
    binding.delete("hawser-jobs-of-chart", &DeleteParams::default()).await?;
    chart(&scene, &[]).await?;
    ensure!(bound(&scene).await?.is_empty(), "there are rights in {:?} again", bound(&scene).await?);

    let everywhere: Api<ClusterRoleBinding> = Api::all(scene.client.clone());
    ensure!(everywhere.get_opt(JOBS).await?.is_none(), "there are rights everywhere");
    chart(&scene, &["jobNamespaces={*}"]).await?;
    ensure!(everywhere.get_opt(JOBS).await?.is_some(), "there are no rights everywhere though they were asked for");
    Ok(())
}

/// Installs or upgrades the chart.
async fn chart(scene: &Scene, values: &[&str]) -> Result<()> {
    let helm = tokio::task::spawn_blocking(|| helm(&Layout::of_this_machine()?)).await??;
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/hawser");
    let kubeconfig = scene.plane.kubeconfig("helm", scene.plane.address())?;
    let mut command = Command::new(helm);
    command.args(["upgrade", "--install", "hawser"]).arg(chart).args(["--namespace", SYSTEM]);
    let needed = "--set=image.reference=none,sidecar.image.reference=none,evidence.ephemeral=true";
    command.arg("--kubeconfig").arg(kubeconfig).arg(needed);
    command.args(values.iter().map(|value| format!("--set={value}")));
    // Nothing of the person's own who runs the tests.
    let home = scene.plane.directory().join("helm");
    for folder in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
        command.env(folder, &home);
    }
    let said = command.output().await?;
    ensure!(said.status.success(), "helm: {}", String::from_utf8_lossy(&said.stderr));
    Ok(())
}

/// Namespaces in which the role is bound.
async fn bound(scene: &Scene) -> Result<Vec<String>> {
    let bindings = Api::<RoleBinding>::all(scene.client.clone()).list(&ListParams::default()).await?;
    let ours = bindings.iter().filter(|binding| binding.role_ref.name == JOBS);
    let mut namespaces: Vec<_> = ours.filter_map(ResourceExt::namespace).collect();
    namespaces.sort();
    Ok(namespaces)
}
