use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hawser_crds::{GpuOffer, definitions};
use hawser_e2e::wait;
use hawser_local::Plane;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};

/// Where the operators are.
pub(crate) const SYSTEM: &str = "hawser-system";
/// Where the offers are.
pub(crate) const OFFERS: &str = "offers";
/// What a start may take on a loaded machine.
pub(crate) const START: Duration = Duration::from_mins(1);

/// A control plane with what an operator needs, and no way to it but the tests' own.
pub(crate) struct Testbed {
    pub(crate) plane: Plane,
    pub(crate) client: Client,
}

impl Testbed {
    /// With the definitions of this build.
    pub(crate) async fn new() -> Result<Self> {
        let testbed = Self::bare().await?;
        for (_, definition) in definitions() {
            testbed.define(&definition).await?;
        }
        Ok(testbed)
    }

    /// Without any definitions.
    pub(crate) async fn bare() -> Result<Self> {
        let plane = tokio::task::spawn_blocking(Plane::start).await??;
        // Another provider can't be there.
        _ = rustls::crypto::ring::default_provider().install_default();
        let file = Kubeconfig::read_from(plane.kubeconfig("tests", plane.address())?)?;
        let config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
        let testbed = Self { plane, client: Client::try_from(config)? };
        testbed.namespace(SYSTEM).await?;
        testbed.namespace(OFFERS).await?;
        Ok(testbed)
    }

    pub(crate) async fn namespace(&self, name: &str) -> Result<()> {
        let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
        let namespace = Namespace { metadata, ..Namespace::default() };
        Api::all(self.client.clone()).create(&PostParams::default(), &namespace).await?;
        Ok(())
    }

    /// Installs a definition, or another one in its place, and waits until it is served.
    pub(crate) async fn define(&self, definition: &CustomResourceDefinition) -> Result<()> {
        let api: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        let yaml = hawser_crds::to_yaml(definition)?;
        let tidied: Value = serde_yaml_ng::from_str(&yaml)?;
        let name = definition.name_any();
        api.patch(&name, &PatchParams::apply("tests").force(), &Patch::Apply(&tidied)).await?;
        wait::until("the definition is established", START, async || {
            let status = api.get(&name).await?.status.unwrap_or_default();
            let mut conditions = status.conditions.into_iter().flatten();
            let established =
                conditions.any(|condition| condition.type_ == "Established" && condition.status == "True");
            Ok(if established { Ok(()) } else { Err("not yet") })
        })
        .await
    }

    /// A pod that nobody runs, for a replica of this name.
    pub(crate) async fn pod(&self, name: &str) -> Result<()> {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": name},
            "spec": {"containers": [{"name": "operator", "image": "none"}]},
        }))?;
        self.pods().create(&PostParams::default(), &pod).await?;
        Ok(())
    }

    pub(crate) fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), SYSTEM)
    }

    /// Names of the pods to which the Service of the attestation would lead.
    pub(crate) async fn marked(&self) -> Result<Vec<String>> {
        let marked = kube::api::ListParams::default().labels("hawser.dev/leader=true");
        Ok(self.pods().list(&marked).await?.iter().map(ResourceExt::name_any).collect())
    }

    pub(crate) fn offers(&self) -> Api<GpuOffer> {
        Api::namespaced(self.client.clone(), OFFERS)
    }

    /// Makes an offer, or changes its price.
    pub(crate) async fn price(&self, offer: &str, price: u32) -> Result<i64> {
        let body = json!({
            "apiVersion": "hawser.dev/v1alpha1", "kind": "GpuOffer", "metadata": {"name": offer},
            "spec": {
                "networkRef": "none",
                "gpu": {"product": "none"},
                "price": {"perGpuHour": price.to_string(), "token": format!("0x{}", "11".repeat(20))},
            },
        });
        let params = PatchParams::apply("tests").force();
        let offer = self.offers().patch(offer, &params, &Patch::Apply(&body)).await?;
        offer.metadata.generation.context("an offer without a generation")
    }

    /// Changes an offer and waits until an operator has written that it saw so; gives the time that it took.
    pub(crate) async fn work_is_done(&self, offer: &str, price: u32, deadline: Duration) -> Result<Duration> {
        let began = Instant::now();
        let generation = self.price(offer, price).await?;
        wait::until("an operator has looked at the offer", deadline, async || {
            let status = self.offers().get(offer).await?.status.unwrap_or_default();
            let seen = status.observed_generation;
            Ok(if seen >= Some(generation) { Ok(()) } else { Err(format!("generation {generation}, seen {seen:?}")) })
        })
        .await?;
        Ok(began.elapsed())
    }
}
