//! What an offer rests on outside of itself, kept up to date by small watches: labels of namespaces, names of
//! `RuntimeClass`es, and what is said of the networks. A look at an offer asks the API server for nothing
//! else, but now and then for its own rights.

use std::collections::HashMap;
use std::sync::Arc;

use futures::stream::select;
use futures::{Stream, StreamExt};
use hawser_crds::condition::READY;
use hawser_crds::{DepinNetwork, GpuOffer};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::node::v1::RuntimeClass;
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Client, Resource, ResourceExt};
use tokio_util::sync::CancellationToken;

use super::rights::{Denied, Rights};
use crate::controllers::cache::{Followed, Received};
use crate::controllers::conditions::find;
use crate::controllers::listed::Listed;
use crate::metrics::Metrics;

/// Label by which a namespace enforces Pod Security.
const ENFORCE: &str = "pod-security.kubernetes.io/enforce";
/// Class of the jobs' pods where the offer names none.
pub(crate) const NVIDIA: &str = "nvidia";

/// Watches of what offers rest on.
#[derive(Clone)]
pub(crate) struct Surroundings {
    namespaces: Followed<PartialObjectMeta<Namespace>>,
    classes: Followed<PartialObjectMeta<RuntimeClass>>,
    pub(crate) networks: Followed<DeserializeGuard<DepinNetwork>>,
    pub(crate) rights: Arc<Rights>,
}

/// What surrounds one offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Around {
    /// The namespace enforces Pod Security `restricted`.
    pub restricted: bool,
    /// The namespace is being deleted: nothing can be made there any more.
    pub going: bool,
    /// The `RuntimeClass` that the jobs' pods get; none where it is not there.
    pub class: Option<String>,
    pub network: NetworkReadiness,
    /// What this operator may not do in the namespace though jobs need it, and who it is.
    pub denied: Option<Denied>,
}

/// What is said of the offer's network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NetworkReadiness {
    /// There is none of that name; these there are.
    Missing(Vec<String>),
    /// It is written as this operator can't read it.
    Unreadable,
    /// Orders are read and transactions can be sent.
    Ready,
    /// Not, and why.
    NotReady { reason: String, message: String },
}

impl Surroundings {
    /// Watches until `cancel`.
    pub(crate) fn start(client: &Client, metrics: &Metrics, cancel: &CancellationToken) -> Self {
        let (metrics, cancel) = (|| metrics.clone(), || cancel.clone());
        let namespaces = Followed::start(client.clone(), "Namespace", labels_only, metrics(), cancel());
        let classes = Followed::start(client.clone(), "RuntimeClass", labels_only, metrics(), cancel());
        let networks = Followed::start(client.clone(), "DepinNetwork", |_| (), metrics(), cancel());
        Self { namespaces, classes, networks, rights: Arc::new(Rights::new(client.clone())) }
    }

    /// Whether all of each kind was listed.
    pub(crate) fn lists(&self) -> [Listed; 3] {
        [&self.namespaces.listed, &self.classes.listed, &self.networks.listed].map(Clone::clone)
    }

    /// A namespace's label, a class or a network's `Ready` has changed. A network's head moves all the time and is no
    /// news.
    pub(crate) fn changes(&self) -> impl Stream<Item = ()> + Send + 'static {
        let networks = self.networks.store.clone();
        let mut told: HashMap<String, NetworkReadiness> = HashMap::new();
        let news = self.networks.changes().filter_map(move |heard| {
            let Received::One(network) = heard else { return std::future::ready(Some(())) };
            let readiness = readiness(&network.name, &networks);
            let is_news = told.insert(network.name, readiness.clone()).as_ref() != Some(&readiness);
            std::future::ready(is_news.then_some(()))
        });
        let labels = select(self.namespaces.changes().map(drop), self.classes.changes().map(drop));
        select(labels, news)
    }

    /// The class that the offer names, or NVIDIA's where the cluster has it.
    pub(crate) fn runtime_class(&self, offer: &GpuOffer) -> Option<String> {
        offer.spec.isolation.runtime_class_name.clone().or_else(|| self.class(NVIDIA))
    }

    fn class(&self, name: &str) -> Option<String> {
        self.classes.store.get(&ObjectRef::new(name)).map(|class| class.name_any())
    }

    /// What surrounds an offer now.
    pub(crate) fn of(&self, offer: &GpuOffer) -> Around {
        let namespace = offer.namespace().unwrap_or_default();
        let of = self.namespaces.store.get(&ObjectRef::new(&namespace));
        let restricted = of.as_ref().is_some_and(|ns| is_restricted(ns.labels().get(ENFORCE)));
        let class = offer.spec.isolation.runtime_class_name.as_deref().unwrap_or(NVIDIA);
        Around {
            restricted,
            going: of.is_none_or(|ns| ns.metadata.deletion_timestamp.is_some()),
            class: self.class(class),
            network: readiness(&offer.spec.network_ref, &self.networks.store),
            denied: self.rights.denied(&namespace),
        }
    }
}

/// Nothing else is read of these.
fn labels_only<K: Resource>(object: &mut PartialObjectMeta<K>) {
    object.metadata.annotations = None;
}

fn is_restricted(label: Option<&String>) -> bool {
    label.is_some_and(|label| label == "restricted")
}

fn readiness(name: &str, networks: &Store<DeserializeGuard<DepinNetwork>>) -> NetworkReadiness {
    let Some(network) = networks.get(&ObjectRef::new(name)) else {
        let mut names: Vec<String> = networks.state().iter().map(|network| network.name_any()).collect();
        names.sort();
        return NetworkReadiness::Missing(names);
    };
    let Ok(network) = &network.0 else { return NetworkReadiness::Unreadable };
    let conditions = network.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    match find(conditions, READY) {
        Some(ready) if ready.status == "True" => NetworkReadiness::Ready,
        Some(ready) => NetworkReadiness::NotReady { reason: ready.reason.clone(), message: ready.message.clone() },
        None => {
            NetworkReadiness::NotReady { reason: "Starting".to_owned(), message: "it was not looked at yet".to_owned() }
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::runtime::reflector::store;
    use kube::runtime::watcher::Event;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_network_says_whether_it_is_ready_and_one_that_is_not_there_names_those_that_are() {
        let network = |name: &str, status: Value| -> DeserializeGuard<DepinNetwork> {
            let address = format!("0x{}", "1".repeat(40));
            serde_json::from_value(json!({
                "apiVersion": "hawser.dev/v1alpha1", "kind": "DepinNetwork", "metadata": {"name": name},
                "spec": {"evm": {
                    "rpcUrls": ["http://a"], "chainId": 1, "market": address, "provider": address,
                    "wallet": {"secretRef": {"name": "w"}}
                }},
                "status": status
            }))
            .unwrap()
        };
        let ready = |status: &str| {
            json!({"conditions": [{
                "type": "Ready", "status": status, "reason": "CatchingUp", "message": "block 3 of 9",
                "lastTransitionTime": "2026-01-01T00:00:00Z"
            }]})
        };
        let unreadable = serde_json::from_value(json!({
            "apiVersion": "hawser.dev/v1alpha1", "kind": "DepinNetwork", "metadata": {"name": "future"}, "spec": {"evm": "of another kind"}
        }))
        .unwrap();
        let (reader, mut writer) = store();
        for network in
            [network("up", ready("True")), network("behind", ready("False")), network("new", Value::Null), unreadable]
        {
            writer.apply_watcher_event(&Event::Apply(network));
        }
        let not =
            |reason: &str, message: &str| NetworkReadiness::NotReady { reason: reason.into(), message: message.into() };
        for (name, expected) in [
            ("up", NetworkReadiness::Ready),
            ("behind", not("CatchingUp", "block 3 of 9")),
            ("new", not("Starting", "it was not looked at yet")),
            ("future", NetworkReadiness::Unreadable),
            ("upp", NetworkReadiness::Missing(["behind", "future", "new", "up"].map(String::from).to_vec())),
        ] {
            assert_eq!(readiness(name, &reader), expected, "{name}");
        }
    }
}
