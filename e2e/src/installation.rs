//! Hawser installed as a data centre would: charts by helm, before there is any network.

use anyhow::{Context, Result};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Node, Secret};
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, Patch, PatchParams};
use kube::{Client, ResourceExt};
use serde_json::json;

use crate::chain::{Actors, Chain};
use crate::environment::Environment;
use crate::network::{WALLET_KEY, WALLET_SECRET};
use crate::world::{
    FIELD_MANAGER, RESOURCE, SYSTEM, TENANT_LABEL, World, apply_namespace, client, explained, is_not_found, jobs,
};
use crate::{bucket, network, operator, run, wait};

/// What GPU Feature Discovery calls a node's GPUs.
const PRODUCT_LABEL: &str = "nvidia.com/gpu.product";
const EVIDENCE_SECRET: &str = "hawser-evidence";
const BUCKET: &str = "evidence";

/// A cluster with Hawser on it, on no network yet.
#[derive(Clone, Debug)]
pub struct Installation {
    /// What was prepared outside.
    pub environment: Environment,
    /// The GPUs that are offered.
    product: String,
}

impl Installation {
    /// Installs (or upgrades) the charts.
    ///
    /// # Errors
    /// Says which step failed, with the state of the operator's namespace.
    pub async fn install(progress: &impl Fn(&str)) -> Result<Self> {
        // Another provider may be in the process already; ring is the one that the whole tree uses.
        _ = rustls::crypto::ring::default_provider().install_default();
        let environment = Environment::read()?;
        let client = client().await?;
        sweep(&client).await?;
        wait_for_namespaces_to_go(&client).await?;
        let product = product(&client).await?;
        let installation = Self { environment, product };
        bucket::publish(&installation.environment, BUCKET).await?;
        installation.prepare_system_namespace(&client).await?;
        installation.install_again(&client).await?;
        progress("charts hawser-crds and hawser installed, operator ready");
        Ok(installation)
    }

    /// Has the operator sell on `chain` too, as the network `name`, and waits until it is Ready.
    ///
    /// # Errors
    /// When it is not Ready in time.
    pub async fn world(&self, client: &Client, name: &str, chain: Chain) -> Result<World> {
        network::install(client, name, &chain).await?;
        Ok(World {
            environment: self.environment.clone(),
            chain,
            network: name.to_owned(),
            product: self.product.clone(),
        })
    }

    /// Uninstalls the charts in this order. What their definitions hold stays, and so does the namespace.
    ///
    /// # Errors
    /// When helm refuses, or replicas of the operator stay.
    pub async fn uninstall(client: &Client, releases: [&str; 2]) -> Result<()> {
        for release in releases {
            let mut helm = tokio::process::Command::new("helm");
            helm.args(["uninstall", release, "--namespace", SYSTEM]);
            run::command(&mut helm).await.with_context(|| format!("release {release} could not be uninstalled"))?;
        }
        operator::none_is_left(client).await
    }

    /// Installs the charts again.
    ///
    /// # Errors
    /// Says which step failed, with the state of the operator's namespace.
    pub async fn install_again(&self, client: &Client) -> Result<()> {
        self.install_charts().await?;
        explained(client, SYSTEM, self.wait_for_operator(client).await).await
    }

    async fn prepare_system_namespace(&self, client: &Client) -> Result<()> {
        apply_namespace(client, SYSTEM, false).await?;
        // The hot key is the same on every chain.
        let operator = Actors::of_anvil()?.operator;
        let wallet = [(WALLET_KEY, operator.key.as_str())];
        apply_secret(client, WALLET_SECRET, &wallet).await?;
        let evidence = [
            ("AWS_ACCESS_KEY_ID", self.environment.s3_access_key.as_str()),
            ("AWS_SECRET_ACCESS_KEY", self.environment.s3_secret_key.as_str()),
        ];
        apply_secret(client, EVIDENCE_SECRET, &evidence).await
    }

    async fn install_charts(&self) -> Result<()> {
        let charts = self.environment.root.join("charts");
        let values = tempfile::NamedTempFile::new()?;
        serde_yaml_ng::to_writer(values.as_file(), &self.chart_values())?;
        for (release, extra) in [("hawser-crds", None), ("hawser", Some(values.path()))] {
            let chart = charts.join(release);
            let mut helm = tokio::process::Command::new("helm");
            helm.args(["upgrade", "--install", release]).arg(chart).args(["--namespace", SYSTEM]);
            if let Some(values) = extra {
                helm.arg("--values").arg(values);
            }
            run::command(&mut helm).await.with_context(|| format!("chart {release} could not be installed"))?;
        }
        Ok(())
    }

    fn chart_values(&self) -> serde_json::Value {
        let s3 = &self.environment.s3_url;
        json!({
            "replicas": operator::REPLICAS,
            "image": { "reference": self.environment.operator_image },
            "sidecar": { "image": { "reference": self.environment.sidecar_image } },
            "clusterCidrs": ["198.18.0.0/15", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"],
            "evidence": {
                "url": format!("s3://{BUCKET}"),
                "publicUrl": format!("{s3}/{BUCKET}"),
                "existingSecret": EVIDENCE_SECRET,
                "s3": { "endpoint": s3, "region": bucket::REGION, "allowHttp": true },
            },
        })
    }

    async fn wait_for_operator(&self, client: &Client) -> Result<()> {
        let deployments: Api<Deployment> = Api::namespaced(client.clone(), SYSTEM);
        wait::until("the operator's Deployment is available", wait::SOON, async || {
            let Some(deployment) = deployments.get_opt("hawser").await? else {
                return Ok(Err("there is no Deployment hawser".to_owned()));
            };
            let generation = deployment.metadata.generation;
            let status = deployment.status.unwrap_or_default();
            let settled = status.observed_generation == generation
                && status.replicas == Some(operator::REPLICAS)
                && status.updated_replicas == status.replicas
                && status.available_replicas == status.replicas;
            Ok(if settled { Ok(()) } else { Err(format!("{status:?}")) })
        })
        .await
    }
}

/// The GPUs to offer: those that `HAWSER_PRODUCT` names, or those of the first node that has any.
async fn product(client: &Client) -> Result<String> {
    if let Some(named) = std::env::var("HAWSER_PRODUCT").ok().filter(|name| !name.is_empty()) {
        return Ok(named);
    }
    let nodes: Api<Node> = Api::all(client.clone());
    let labelled = nodes.list(&ListParams::default().labels(PRODUCT_LABEL)).await?;
    let with_gpus = |node: &&Node| {
        let allocatable = node.status.as_ref().and_then(|status| status.allocatable.as_ref());
        allocatable.and_then(|all| all.get(RESOURCE)).is_some_and(|count| count.0 != "0")
    };
    let product = labelled.iter().filter(with_gpus).find_map(|node| node.labels().get(PRODUCT_LABEL).cloned());
    product.with_context(|| {
        format!("no node has both {RESOURCE} and the label {PRODUCT_LABEL}: install NVIDIA's device plugin and GPU Feature Discovery")
    })
}

/// Removes what earlier tenants left, and waits until their jobs are settled: nothing of theirs moves tokens any more.
///
/// # Errors
/// When a job does not go in time.
async fn sweep(client: &Client) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let mut swept = Vec::new();
    for namespace in namespaces.list(&ListParams::default().labels(TENANT_LABEL)).await? {
        match namespaces.delete(&namespace.name_any(), &DeleteParams::default()).await {
            // It was on its way out, and is gone now.
            Err(error) if is_not_found(&error) => {}
            deleted => {
                deleted?;
                swept.push(namespace.name_any());
            }
        }
    }
    wait::until("the jobs of earlier tenants are gone", wait::SOON, async || {
        let mut left = Vec::new();
        for namespace in &swept {
            let jobs = jobs(client, namespace).list(&ListParams::default()).await;
            // There are none before the first installation.
            let jobs = jobs
                .map(|list| list.items)
                .or_else(|error| if is_not_found(&error) { Ok(Vec::new()) } else { Err(error) })?;
            left.extend(jobs.iter().map(|job| format!("{namespace}/{}", job.name_any())));
        }
        Ok(if left.is_empty() { Ok(()) } else { Err(left.join(", ")) })
    })
    .await
}

/// A namespace can't be made again before it is gone.
async fn wait_for_namespaces_to_go(client: &Client) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let tenants = ListParams::default().labels(TENANT_LABEL);
    wait::until("earlier tenants are gone", wait::SOON, async || {
        let left = namespaces.list(&tenants).await?.items;
        let names: Vec<_> = left.iter().map(ResourceExt::name_any).collect();
        Ok(if names.is_empty() { Ok(()) } else { Err(names.join(", ")) })
    })
    .await
}

async fn apply_secret(client: &Client, name: &str, data: &[(&str, &str)]) -> Result<()> {
    let secret = Secret {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
        string_data: Some(data.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()),
        ..Secret::default()
    };
    let secrets: Api<Secret> = Api::namespaced(client.clone(), SYSTEM);
    secrets.patch(name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(&secret)).await?;
    Ok(())
}
