//! What a person wants to see when something failed: the objects of a
//! namespace, their events and the last lines of their containers.

use std::fmt::Write as _;

use anyhow::Result;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{Api, ListParams, LogParams};
use kube::{Client, ResourceExt};

use hawser_crds::{ComputeJob, DepinNetwork, GpuOffer};

use crate::cluster::SYSTEM;
use crate::conditions;

/// Lines of the operator's log that are looked through, and that are shown.
const LINES_READ: i64 = 20_000;
const LINES_SHOWN: usize = 60;

/// The first line of what is said of a namespace.
pub fn title(namespace: &str) -> String {
    format!("--- namespace {namespace}\n")
}

/// A network, a namespace, and what the operator's log says of them. Never fails: what can't be read is said in its place.
pub async fn testbed(client: &Client, network: &str, namespace: &str) -> String {
    let said = match Api::<DepinNetwork>::all(client.clone()).get(network).await {
        Ok(network) => conditions::text(&network.status.unwrap_or_default().conditions),
        Err(error) => error.to_string(),
    };
    let mut text = format!("--- DepinNetwork {network}: {said}\n");
    text.push_str(&self::namespace(client, namespace).await);
    operator(&mut text, client, &[network, namespace]).await;
    text
}

async fn operator(text: &mut String, client: &Client, words: &[&str]) {
    let pods: Api<Pod> = Api::namespaced(client.clone(), SYSTEM);
    let Ok(list) = pods.list(&ListParams::default()).await else { return };
    for name in list.iter().map(ResourceExt::name_any) {
        let params = LogParams { tail_lines: Some(LINES_READ), ..LogParams::default() };
        let Ok(log) = pods.logs(&name, &params).await else { continue };
        let about: Vec<_> = log.lines().filter(|line| words.iter().any(|word| line.contains(word))).collect();
        let newest = &about[about.len().saturating_sub(LINES_SHOWN)..];
        _ = writeln!(text, "log {name}, of {}:\n{}", words.join(" or "), newest.join("\n"));
    }
}

/// Offers, jobs, pods, events and container logs of `namespace` as text. Never fails: what can't be
/// read is said in its place.
pub async fn namespace(client: &Client, namespace: &str) -> String {
    let mut text = title(namespace);
    objects::<GpuOffer>(&mut text, client, namespace, "gpuoffer", |o| serde_json::to_value(&o.status)).await;
    objects::<ComputeJob>(&mut text, client, namespace, "computejob", |j| serde_json::to_value(&j.status)).await;
    objects::<Pod>(&mut text, client, namespace, "pod", |p| serde_json::to_value(&p.status)).await;
    events(&mut text, client, namespace).await;
    logs(&mut text, client, namespace).await;
    text
}

async fn objects<K>(
    text: &mut String,
    client: &Client,
    namespace: &str,
    kind: &str,
    status: impl Fn(&K) -> serde_json::Result<serde_json::Value>,
) where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    match Api::<K>::namespaced(client.clone(), namespace).list(&ListParams::default()).await {
        Err(error) => _ = writeln!(text, "{kind}s can't be listed: {error}"),
        Ok(list) => {
            for object in list {
                let status = status(&object).unwrap_or_default();
                _ = writeln!(text, "{kind} {}: {status:#}", object.name_any());
            }
        }
    }
}

async fn events(text: &mut String, client: &Client, namespace: &str) {
    let Ok(list) = Api::<Event>::namespaced(client.clone(), namespace).list(&ListParams::default()).await else {
        return;
    };
    for event in list {
        _ = writeln!(
            text,
            "event {}/{} {} {}",
            event.involved_object.kind.unwrap_or_default(),
            event.involved_object.name.unwrap_or_default(),
            event.reason.unwrap_or_default(),
            event.message.unwrap_or_default()
        );
    }
}

async fn logs(text: &mut String, client: &Client, namespace: &str) {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let Ok(list) = pods.list(&ListParams::default()).await else {
        return;
    };
    for pod in list {
        let spec = pod.spec.clone().unwrap_or_default();
        let inits = spec.init_containers.unwrap_or_default();
        for container in inits.iter().chain(&spec.containers) {
            let params =
                LogParams { container: Some(container.name.clone()), tail_lines: Some(40), ..LogParams::default() };
            if let Ok(log) = pods.logs(&pod.name_any(), &params).await {
                _ = writeln!(text, "log {}/{}:\n{log}", pod.name_any(), container.name);
            }
        }
    }
}

/// Adds what stands in `namespace` to an error.
///
/// # Errors
/// `result`'s own.
pub async fn explained<T>(client: &Client, namespace: &str, result: Result<T>) -> Result<T> {
    match result {
        Ok(value) => Ok(value),
        Err(error) => Err(error.context(self::namespace(client, namespace).await)),
    }
}
