//! The cluster under test: a client for it, its names, and what everybody asks it for.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use hawser_crds::ComputeJob;
use k8s_openapi::api::core::v1::Namespace;
use kube::Client;
use kube::api::{Api, ObjectMeta, PostParams};

/// Where the operator is installed.
pub const SYSTEM: &str = "hawser-system";
/// The `ClusterRole` of the operator that counts in namespaces with offers, and its `RoleBinding` there.
pub const JOBS: &str = "hawser-jobs";
/// What the device plugin calls them.
pub(crate) const RESOURCE: &str = "nvidia.com/gpu";
pub(crate) const FIELD_MANAGER: &str = "hawser-e2e";
pub(crate) const TENANT_LABEL: &str = "hawser.dev/e2e";

/// A client for the cluster that `KUBECONFIG` names.
///
/// # Errors
/// When there is none.
pub async fn client() -> Result<Client> {
    Client::try_default().await.context("no Kubernetes API server: KUBECONFIG must name the cluster under test")
}

/// There is no such object.
pub fn is_not_found(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.is_not_found())
}

/// Makes a namespace under Pod Security `restricted` unless it is there; a tenant's is labelled as one of ours.
pub(crate) async fn apply_namespace(client: &Client, name: &str, tenant: bool) -> Result<()> {
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

/// The jobs of a namespace.
pub fn jobs(client: &Client, namespace: &str) -> Api<ComputeJob> {
    Api::namespaced(client.clone(), namespace)
}
