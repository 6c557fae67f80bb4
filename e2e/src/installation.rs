//! Hawser installed as a data centre would: charts by helm, before there is any network.

use anyhow::{Context, Result};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Node, Secret, Service};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, Patch, PatchParams};
use kube::{Client, ResourceExt};
use serde_json::json;

use crate::before::Before;
use crate::chain::{Actors, Chain};
use crate::cluster::{FIELD_MANAGER, RESOURCE, SYSTEM, TENANT_LABEL, apply_namespace, client, is_not_found, jobs};
use crate::environment::Environment;
use crate::explain::explained;
use crate::fixture::Fixture;
use crate::network::{WALLET_KEY, WALLET_SECRET};
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
    replicas: i32,
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
        let installation = Self { environment, product, replicas: operator::REPLICAS };
        bucket::publish(&installation.environment, BUCKET).await?;
        installation.prepare_system_namespace(&client).await?;
        installation.install_again(&client).await?;
        progress("charts hawser-crds and hawser installed, operator ready");
        Ok(installation)
    }

    /// The same with the charts and the images of the release before: one replica, as one that stood by was not Ready.
    #[must_use]
    pub fn before(&self, before: &Before) -> Self {
        let environment = Environment {
            root: before.root().to_owned(),
            operator_image: before.operator_image.clone(),
            sidecar_image: before.sidecar_image.clone(),
            ..self.environment.clone()
        };
        Self { environment, product: self.product.clone(), replicas: 1 }
    }

    /// Upgrades the charts to this release's, with all other values as they were set: what `docs/upgrade.md` says.
    ///
    /// # Errors
    /// Says which step failed, with the state of the operator's namespace.
    pub async fn upgrade(&self, client: &Client) -> Result<()> {
        self.install_charts(&self.images(), &["--reset-then-reuse-values"]).await?;
        explained(client, SYSTEM, self.wait_for_operator(client).await).await?;
        operator::leads(client).await
    }

    /// Brings the operator of the chart's last revision but one back, which is this one. The definitions stay.
    ///
    /// # Errors
    /// When helm refuses, or the operator is not available in time.
    pub async fn roll_back(&self, client: &Client) -> Result<()> {
        let mut helm = tokio::process::Command::new("helm");
        run::command(helm.args(["rollback", "hawser", "--namespace", SYSTEM])).await?;
        explained(client, SYSTEM, self.wait_for_operator(client).await).await
    }

    /// Uninstalls the charts, with all that they leave behind on purpose.
    ///
    /// # Errors
    /// When helm refuses, or something stays.
    pub async fn erase(client: &Client) -> Result<()> {
        Self::uninstall(client, ["hawser", "hawser-crds"]).await?;
        let services: Api<Service> = Api::namespaced(client.clone(), SYSTEM);
        services.delete("hawser-attestation", &DeleteParams::default()).await?;
        let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
        for name in ["computejobs.hawser.dev", "depinnetworks.hawser.dev", "gpuoffers.hawser.dev"] {
            definitions.delete(name, &DeleteParams::default()).await?;
            wait::gone(&definitions, name, wait::SOON).await?;
        }
        Ok(())
    }

    /// Has the operator sell on `chain` too, as the network `name`, and waits until it is Ready.
    ///
    /// # Errors
    /// When it is not Ready in time.
    pub async fn fixture(&self, client: &Client, name: &str, chain: Chain) -> Result<Fixture> {
        network::install(client, name, &chain).await?;
        Ok(Fixture {
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
        self.install_charts(&self.chart_values(), &[]).await?;
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

    async fn install_charts(&self, values: &serde_json::Value, options: &[&str]) -> Result<()> {
        let charts = self.environment.root.join("charts");
        let file = tempfile::NamedTempFile::new()?;
        serde_yaml_ng::to_writer(file.as_file(), values)?;
        for (release, extra) in [("hawser-crds", None), ("hawser", Some(file.path()))] {
            let chart = charts.join(release);
            let mut helm = tokio::process::Command::new("helm");
            helm.args(["upgrade", "--install", release]).arg(chart).args(["--namespace", SYSTEM]);
            if let Some(values) = extra {
                helm.args(options).arg("--values").arg(values);
            }
            run::command(&mut helm).await.with_context(|| format!("chart {release} could not be installed"))?;
        }
        Ok(())
    }

    fn chart_values(&self) -> serde_json::Value {
        let s3 = &self.environment.s3_url;
        let mut values = self.images();
        values["clusterCidrs"] = json!(["198.18.0.0/15", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]);
        values["evidence"] = json!({
            "url": format!("s3://{BUCKET}"),
            "publicUrl": format!("{s3}/{BUCKET}"),
            "existingSecret": EVIDENCE_SECRET,
            "s3": { "endpoint": s3, "region": bucket::REGION, "allowHttp": true },
        });
        values
    }

    fn images(&self) -> serde_json::Value {
        json!({
            "replicas": self.replicas,
            "image": { "reference": self.environment.operator_image },
            "sidecar": { "image": { "reference": self.environment.sidecar_image } },
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
                && status.replicas == Some(self.replicas)
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
