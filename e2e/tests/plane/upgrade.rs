use std::path::Path;

use anyhow::{Result, ensure};
use hawser_local::{Layout, helm};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, RoleBinding};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams};
use tokio::process::Command;

use crate::testbed::{OFFERS, SYSTEM, Testbed};

const JOBS: &str = "hawser-jobs";

/// The release before had the rights that start pods in one role that counted everywhere.
#[tokio::test]
async fn an_upgrade_keeps_the_rights_where_offers_are_and_nobody_else_gets_any() -> Result<()> {
    let testbed = Testbed::new().await?;
    testbed.price("offer", 1).await?;
    chart(&testbed, &[]).await?;
    ensure!(bound(&testbed).await?.is_empty(), "a new installation has rights in {:?}", bound(&testbed).await?);

    Api::<ClusterRole>::all(testbed.client.clone()).delete(JOBS, &DeleteParams::default()).await?;
    chart(&testbed, &[]).await?;
    ensure!(bound(&testbed).await? == [OFFERS], "the upgrade gave rights in {:?}", bound(&testbed).await?);
    // From the next one on the chart does not speak of them any more.
    chart(&testbed, &["jobNamespaces={default}"]).await?;
    ensure!(bound(&testbed).await? == ["default", OFFERS], "there are rights in {:?}", bound(&testbed).await?);
    chart(&testbed, &[]).await?;
    ensure!(bound(&testbed).await? == [OFFERS], "there are rights in {:?}", bound(&testbed).await?);

    // What somebody took away stays away.
    let binding: Api<RoleBinding> = Api::namespaced(testbed.client.clone(), OFFERS);
    binding.delete("hawser-jobs-of-chart", &DeleteParams::default()).await?;
    chart(&testbed, &[]).await?;
    ensure!(bound(&testbed).await?.is_empty(), "there are rights in {:?} again", bound(&testbed).await?);

    let everywhere: Api<ClusterRoleBinding> = Api::all(testbed.client.clone());
    ensure!(everywhere.get_opt(JOBS).await?.is_none(), "there are rights everywhere");
    chart(&testbed, &["jobNamespaces={*}"]).await?;
    ensure!(everywhere.get_opt(JOBS).await?.is_some(), "there are no rights everywhere though they were asked for");
    Ok(())
}

/// Installs or upgrades the chart.
async fn chart(testbed: &Testbed, values: &[&str]) -> Result<()> {
    let helm = tokio::task::spawn_blocking(|| helm(&Layout::of_this_machine()?)).await??;
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/hawser");
    let kubeconfig = testbed.plane.kubeconfig("helm", testbed.plane.address())?;
    let mut command = Command::new(helm);
    command.args(["upgrade", "--install", "hawser"]).arg(chart).args(["--namespace", SYSTEM]);
    let needed = "--set=image.reference=none,sidecar.image.reference=none,evidence.ephemeral=true";
    command.arg("--kubeconfig").arg(kubeconfig).arg(needed);
    command.args(values.iter().map(|value| format!("--set={value}")));
    // Nothing of the person's own who runs the tests.
    let home = testbed.plane.directory().join("helm");
    for folder in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
        command.env(folder, &home);
    }
    let said = command.output().await?;
    ensure!(said.status.success(), "helm: {}", String::from_utf8_lossy(&said.stderr));
    Ok(())
}

/// Namespaces in which the role is bound.
async fn bound(testbed: &Testbed) -> Result<Vec<String>> {
    let bindings = Api::<RoleBinding>::all(testbed.client.clone()).list(&ListParams::default()).await?;
    let ours = bindings.iter().filter(|binding| binding.role_ref.name == JOBS);
    let mut namespaces: Vec<_> = ours.filter_map(ResourceExt::namespace).collect();
    namespaces.sort();
    Ok(namespaces)
}
