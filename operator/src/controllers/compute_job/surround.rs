//! What must stand in a namespace before a pod of an offer begins there: its account, the CA of the attestation service, and
//! the offer's `NetworkPolicy`.

use std::net::IpAddr;

use hawser_crds::GpuOffer;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::manifests;
use crate::config::Config;
use crate::controllers::cluster_network::own_ranges;
use crate::controllers::{Error, MANAGER, Shared, Tried};

/// Address of the attestation service, as jobs reach it; none where its name can't be looked up now.
pub(crate) async fn attestation_address(config: &Config) -> Option<IpAddr> {
    let (host, port) = (config.attestation_host(), config.attestation_listen.port());
    tokio::net::lookup_host((host, port)).await.ok()?.next().map(|address| address.ip())
}

/// Makes all of it, or makes it as it should be now.
pub(crate) async fn surround(shared: &Shared, offer: &GpuOffer, attestation: Option<IpAddr>) -> Result<(), Error> {
    let namespace = offer.namespace().ok_or(Error::Unnamed("namespace"))?;
    let config = &shared.config;
    let found = shared.cluster_network.found().await?;
    let named = config.cluster_cidrs.iter().copied();
    let own = shared.inventory.read(|inventory| own_ranges(named, &found, inventory.nodes()));
    let around = manifests::Surroundings {
        operator_namespace: &config.namespace,
        attestation_port: config.attestation_listen.port(),
        attestation_is_known: attestation.is_some(),
        dns: &found.dns,
        own: &own,
    };
    let policy = manifests::network_policy(offer, &around)?;
    put::<ServiceAccount>(&shared.client, &namespace, &manifests::service_account(&namespace)?).await?;
    put_ca(&shared.client, &namespace, &shared.attestation_ca).await?;
    put::<NetworkPolicy>(&shared.client, &namespace, &policy).await
}

/// The CA by which meters know the attestation service: kubelet shows it to running ones, too.
pub(crate) async fn put_ca(client: &Client, namespace: &str, ca: &str) -> Result<(), Error> {
    put::<ConfigMap>(client, namespace, &manifests::ca_config_map(namespace, ca)?).await
}

async fn put<K>(client: &Client, namespace: &str, object: &K) -> Result<(), Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Serialize
        + DeserializeOwned
        + std::fmt::Debug,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let name = object.name_any();
    api.patch(&name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(object))
        .await
        .map(|_| ())
        .tried(|| format!("{} {namespace}/{name}", K::kind(&())))
}
