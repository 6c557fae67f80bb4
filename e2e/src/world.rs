//! Hawser installed as a data centre would: charts by helm, a network and
//! offers by the API server; then thrown away with its namespace.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Node, Secret};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use serde_json::json;

use hawser_crds::{
    Attestation, Capacity, ComputeJob, GpuOffer, GpuOfferSpec, GpuSelector, Images, Isolation, Limits, Price, Pull,
    condition,
};

use crate::chain::Chain;
use crate::environment::Environment;
use crate::network::{WALLET_KEY, WALLET_SECRET};
use crate::{bucket, conditions, explain, network, run, wait};

/// Where the operator is installed.
pub const SYSTEM: &str = "hawser-system";
/// Name of the `DepinNetwork` that is installed with it.
pub const NETWORK: &str = "local";
/// What GPU Feature Discovery calls a node's GPUs.
const PRODUCT_LABEL: &str = "nvidia.com/gpu.product";
/// What the device plugin calls them.
const RESOURCE: &str = "nvidia.com/gpu";
const FIELD_MANAGER: &str = "hawser-e2e";
const TENANT_LABEL: &str = "hawser.dev/e2e";
const EVIDENCE_SECRET: &str = "hawser-evidence";
const BUCKET: &str = "evidence";

/// A cluster with Hawser on it and a market of its own.
#[derive(Clone, Debug)]
pub struct World {
    /// What was prepared outside.
    pub environment: Environment,
    /// Market, token, actors.
    pub chain: Chain,
    /// Name of the `DepinNetwork` that offers are on.
    network: String,
    /// The GPUs that are offered.
    product: String,
}

impl World {
    /// Deploys a fresh market and installs (or upgrades) the charts against it.
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
        let chain = Chain::deploy(&environment.rpc_url).await?;
        progress(&format!("market {} deployed, provider registered", chain.market));
        let world = Self { environment, chain, network: NETWORK.to_owned(), product };
        bucket::publish(&world.environment, BUCKET).await?;
        world.prepare_system_namespace(&client).await?;
        world.install_charts().await?;
        let ready = world.wait_for_operator(&client).await;
        explained(&client, SYSTEM, ready).await?;
        progress("charts hawser-crds and hawser installed, operator ready");
        network::install(&client, NETWORK, &world.chain).await?;
        progress("DepinNetwork local is Ready");
        Ok(world)
    }

    /// The same cluster and operator, selling on another market beside this one's: on `chain`, as the network `name`.
    ///
    /// # Errors
    /// When the network is not Ready in time.
    pub async fn beside(&self, client: &Client, name: &str, chain: Chain) -> Result<Self> {
        network::install(client, name, &chain).await?;
        Ok(Self { chain, network: name.to_owned(), ..self.clone() })
    }

    /// Takes back what a test has changed of the network.
    ///
    /// # Errors
    /// When it is not Ready in time.
    pub async fn restore(&self, client: &Client) -> Result<()> {
        network::restore(client, &self.network, &self.chain).await
    }

    async fn prepare_system_namespace(&self, client: &Client) -> Result<()> {
        apply_namespace(client, SYSTEM, false).await?;
        let wallet = [(WALLET_KEY, self.chain.actors.operator.key.as_str())];
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
        wait::until("the operator's Deployment is available", Duration::from_mins(2), async || {
            let Some(deployment) = deployments.get_opt("hawser").await? else {
                return Ok(Err("there is no Deployment hawser".to_owned()));
            };
            let generation = deployment.metadata.generation;
            let status = deployment.status.unwrap_or_default();
            let settled = status.observed_generation == generation
                && status.updated_replicas == status.replicas
                && status.available_replicas == status.replicas
                && status.replicas >= Some(1);
            Ok(if settled { Ok(()) } else { Err(format!("{status:?}")) })
        })
        .await
    }

    /// A fresh tenant namespace under Pod Security `restricted`.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn tenant(&self, client: &Client, name: &str) -> Result<()> {
        apply_namespace(client, name, true).await
    }

    /// Applies `offer` and waits until it stands on chain with at least one GPU.
    ///
    /// # Errors
    /// When it is not Ready in time; then with the objects of the namespace.
    pub async fn publish(&self, client: &Client, namespace: &str, name: &str, spec: GpuOfferSpec) -> Result<GpuOffer> {
        let offers: Api<GpuOffer> = Api::namespaced(client.clone(), namespace);
        let offer = GpuOffer::new(name, spec);
        offers.patch(name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(&offer)).await?;
        let ready = wait::until(&format!("GpuOffer {namespace}/{name} is Ready"), Duration::from_mins(1), async || {
            let offer = offers.get(name).await?;
            let status = offer.status.clone().unwrap_or_default();
            let ready = status.observed_generation == offer.metadata.generation
                && [condition::READY, condition::CAPACITY_AVAILABLE]
                    .iter()
                    .all(|kind| conditions::is_true(&status.conditions, kind));
            Ok(if ready { Ok(offer) } else { Err(conditions::text(&status.conditions)) })
        })
        .await;
        explained(client, namespace, ready).await
    }

    /// An offer of the cluster's GPUs with limits that fit on two cores.
    pub fn offer_spec(&self) -> GpuOfferSpec {
        GpuOfferSpec {
            network_ref: self.network.clone(),
            gpu: GpuSelector {
                product: self.product.clone(),
                resource_name: RESOURCE.to_owned(),
                node_selector: BTreeMap::new(),
            },
            capacity: Capacity::default(),
            price: Price { per_gpu_hour: "2.25".to_owned(), token: self.chain.token.to_string() },
            limits: Limits {
                min_seconds: 10,
                max_seconds: 3600,
                cpu_per_gpu: Quantity("200m".to_owned()),
                memory_per_gpu: Quantity("256Mi".to_owned()),
                storage_per_gpu: Quantity("256Mi".to_owned()),
                start_window_seconds: 300,
                claim_window_seconds: 300,
                ..Limits::default()
            },
            // The cluster's own registry, and one that a test makes beside it.
            images: Images {
                allow: vec![format!("{}/", self.environment.registry), "198.18.0.1:".to_owned()],
                deny: Vec::new(),
            },
            isolation: Isolation::default(),
            attestation: Attestation { interval_seconds: 2 },
            pull: Pull { free_seconds: 20, timeout_seconds: 40 },
            card: BTreeMap::from([("region".to_owned(), "local".to_owned())]),
            suspend: false,
            tolerations: Vec::new(),
        }
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

/// A client for the cluster that `KUBECONFIG` names.
///
/// # Errors
/// When there is none.
pub async fn client() -> Result<Client> {
    Client::try_default().await.context("no Kubernetes API server: KUBECONFIG must name the cluster under test")
}

/// Adds what stands in `namespace` to an error.
///
/// # Errors
/// `result`'s own.
pub async fn explained<T>(client: &Client, namespace: &str, result: Result<T>) -> Result<T> {
    match result {
        Ok(value) => Ok(value),
        Err(error) => Err(error.context(explain::namespace(client, namespace).await)),
    }
}

/// Removes what earlier tenants left, and waits until their jobs are settled: nothing of theirs moves tokens any more.
///
/// # Errors
/// When a job does not go in time.
pub async fn sweep(client: &Client) -> Result<()> {
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
    wait::until("the jobs of earlier tenants are gone", Duration::from_mins(3), async || {
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
    wait::until("earlier tenants are gone", Duration::from_mins(3), async || {
        let left = namespaces.list(&tenants).await?.items;
        let names: Vec<_> = left.iter().map(ResourceExt::name_any).collect();
        Ok(if names.is_empty() { Ok(()) } else { Err(names.join(", ")) })
    })
    .await
}

/// There is no such object.
pub fn is_not_found(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.is_not_found())
}

async fn apply_namespace(client: &Client, name: &str, tenant: bool) -> Result<()> {
    let mut labels = BTreeMap::from([("pod-security.kubernetes.io/enforce".to_owned(), "restricted".to_owned())]);
    if tenant {
        labels.insert(TENANT_LABEL.to_owned(), "true".to_owned());
    }
    let namespace = Namespace {
        metadata: ObjectMeta { name: Some(name.to_owned()), labels: Some(labels), ..ObjectMeta::default() },
        ..Namespace::default()
    };
    let namespaces: Api<Namespace> = Api::all(client.clone());
    match namespaces.create(&PostParams::default(), &namespace).await {
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        other => other.map(drop).map_err(Into::into),
    }
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

/// The jobs of a namespace.
pub fn jobs(client: &Client, namespace: &str) -> Api<ComputeJob> {
    Api::namespaced(client.clone(), namespace)
}
