//! A market and the network on it: where offers are sold, and orders come from.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::RoleBinding;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::Client;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::json;

use hawser_crds::{
    Attestation, Capacity, GpuOffer, GpuOfferSpec, GpuSelector, Images, Isolation, Limits, Price, Pull, condition,
};

use crate::chain::Chain;
use crate::cluster::{FIELD_MANAGER, JOBS, RESOURCE, SYSTEM, apply_namespace, is_not_found};
use crate::environment::Environment;
use crate::explain::explained;
use crate::{conditions, network, wait};

/// A cluster with Hawser on it and a market of its own.
#[derive(Clone, Debug)]
pub struct Fixture {
    /// What was prepared outside.
    pub environment: Environment,
    /// Market, token, actors.
    pub chain: Chain,
    /// Name of the `DepinNetwork` that offers are on.
    pub(crate) network: String,
    /// The GPUs that are offered.
    pub(crate) product: String,
}

impl Fixture {
    /// Name of the `DepinNetwork` that offers are on.
    pub fn network(&self) -> &str {
        &self.network
    }

    /// Takes back what a test has changed of the network.
    ///
    /// # Errors
    /// When it is not Ready in time.
    pub async fn restore(&self, client: &Client) -> Result<()> {
        network::restore(client, &self.network, &self.chain).await
    }

    /// A fresh tenant namespace under Pod Security `restricted`, in which the operator may start pods.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn tenant(&self, client: &Client, name: &str) -> Result<()> {
        apply_namespace(client, name, true).await?;
        let bindings: Api<RoleBinding> = Api::namespaced(client.clone(), name);
        bindings.patch(JOBS, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(&jobs_binding()?)).await?;
        Ok(())
    }

    /// Applies `offer` and waits until it stands on chain with at least one GPU.
    ///
    /// # Errors
    /// When it is not Ready in time; then with the objects of the namespace.
    pub async fn publish(&self, client: &Client, namespace: &str, name: &str, spec: GpuOfferSpec) -> Result<GpuOffer> {
        let offers: Api<GpuOffer> = Api::namespaced(client.clone(), namespace);
        let offer = GpuOffer::new(name, spec);
        offers.patch(name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(&offer)).await?;
        let ready = wait::until(&format!("GpuOffer {namespace}/{name} is Ready"), wait::SOON, async || {
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
            attestation: Attestation { interval_seconds: 2, ..Attestation::default() },
            pull: Pull { free_seconds: 20, timeout_seconds: 40 },
            card: BTreeMap::from([("region".to_owned(), "local".to_owned())]),
            suspend: false,
            tolerations: Vec::new(),
        }
    }
}

/// What the quick start's `kubectl create rolebinding` makes.
fn jobs_binding() -> Result<RoleBinding> {
    Ok(serde_json::from_value(json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": JOBS},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": JOBS},
        "subjects": [{"kind": "ServiceAccount", "name": "hawser-operator", "namespace": SYSTEM}],
    }))?)
}

/// Deletes a tenant's namespace if it is there, and waits until it is gone: its jobs are settled, its offer is withdrawn.
///
/// # Errors
/// When something holds it when the deadline passes; then with its objects.
pub async fn remove_tenant(client: &Client, name: &str) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    match namespaces.delete(name, &DeleteParams::default()).await {
        Err(error) if !is_not_found(&error) => return Err(error.into()),
        _ => {}
    }
    let gone = wait::gone(&namespaces, name, Duration::from_mins(4)).await;
    explained(client, name, gone).await
}
