//! Nodes whose GPUs are handed out by claims too (`ResourceClaim`, DRA). What claims hold is in no pod's requests, so the device
//! plugin hands the same cards out once more: NVIDIA has a node run one of the two. Its driver says by a `ResourceSlice` that it
//! hands out a node's cards.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::pin::pin;
use std::time::Duration;

use futures::StreamExt;
use kube::core::{ClusterResourceScope, GroupVersionKind, ObjectMeta};
use kube::error::DiscoveryError;
use kube::{Client, Resource, ResourceExt, discovery};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use tracing::warn;

use crate::controllers::lean::ReadLean;
use crate::controllers::listed::Listing;
use crate::controllers::watch::{Change, Roll, Watches};
use crate::kubernetes::watching;

const GROUP: &str = "resource.k8s.io";
/// That of Kubernetes 1.34, from which on claims are there unless somebody has turned them off.
const VERSION: &str = "v1";
pub(crate) const KIND: &str = "ResourceSlice";
/// NVIDIA's, of cards; that of compute domains has another name and hands out none.
const DRIVER: &str = "gpu.nvidia.com";
/// After so long it is looked again whether the API server has such slices: it may have been upgraded.
const LOOK_AGAIN: Duration = Duration::from_mins(10);
/// Before a look that failed is tried again.
const PAUSE: Duration = Duration::from_secs(4);

/// What a driver hands out, as far as it is read.
#[derive(Clone, Debug, Deserialize)]
struct Slice {
    metadata: ObjectMeta,
    spec: Spec,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    driver: String,
    #[serde(default)]
    node_name: Option<String>,
    #[serde(default)]
    devices: Option<Vec<IgnoredAny>>,
}

impl Slice {
    /// The node whose cards it hands out, if it does.
    fn node(&self) -> Option<&str> {
        let any = self.spec.devices.as_ref().is_some_and(|devices| !devices.is_empty());
        self.spec.node_name.as_deref().filter(|name| any && self.spec.driver == DRIVER && !name.is_empty())
    }
}

impl ReadLean for Slice {
    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::deserialize(from)
    }
}

impl Resource for Slice {
    type DynamicType = ();
    type Scope = ClusterResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        KIND.into()
    }

    fn group((): &()) -> Cow<'_, str> {
        GROUP.into()
    }

    fn version((): &()) -> Cow<'_, str> {
        VERSION.into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "resourceslices".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// The nodes that slices name, by the slices' names.
#[derive(Debug, Default)]
struct Slices(HashMap<String, String>);

impl Slices {
    /// Nodes of which it may be otherwise now, and whether claims hand out their cards.
    fn change(&mut self, change: Change<Slice, String>) -> Vec<(String, bool)> {
        let mut nodes = BTreeSet::new();
        match change {
            Change::Is(slice) => {
                nodes.extend(self.0.remove(&slice.name_any()));
                if let Some(node) = slice.node() {
                    nodes.insert(node.to_owned());
                    self.0.insert(slice.name_any(), node.to_owned());
                }
            }
            Change::Gone(name) => nodes.extend(self.0.remove(&name)),
            Change::All(names) => nodes.extend(self.0.extract_if(|name, _| !names.has(name)).map(|(_, node)| node)),
        }
        let now: HashSet<&String> = self.0.values().collect();
        nodes.iter().map(|node| (node.clone(), now.contains(node))).collect()
    }
}

/// Follows them until the operator stops. Where the API server has none, no node is named.
pub(crate) async fn follow(watches: Watches, listing: Listing) {
    if watches.cancel.run_until_cancelled(until_served(&watches, &listing)).await.is_none() {
        return;
    }
    let of_cards = watching().fields(&format!("spec.driver={DRIVER}"));
    let (mut events, mut roll) = (pin!(watches.events_of::<Slice>(of_cards)), Roll::default());
    let mut slices = Slices::default();
    while let Some(event) = events.next().await {
        let Some(change) = roll.change(event, ResourceExt::name_any) else { continue };
        let complete = matches!(change, Change::All(_));
        for (node, claimable) in slices.change(change) {
            let concerned = watches.inventory.write(|inventory| inventory.set_claimable(&node, claimable));
            watches.offers.add(concerned);
        }
        if complete {
            listing.done();
        }
    }
}

/// Until the API server has such slices. That it has none is known as well as a list of them.
async fn until_served(watches: &Watches, listing: &Listing) {
    loop {
        match is_served(&watches.client).await {
            Ok(true) => return,
            Ok(false) => {
                listing.done();
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            Err(error) => {
                watches.metrics.watch_errors(KIND).inc();
                warn!(kind = KIND, %error, "the API server does not say whether it has any; it is asked again");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn is_served(client: &Client) -> Result<bool, kube::Error> {
    match discovery::pinned_kind(client, &GroupVersionKind::gvk(GROUP, VERSION, KIND)).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Discovery(DiscoveryError::MissingKind(_))) => Ok(false),
        // In plain text, too, where something stands before the API server.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get;
    use kube::runtime::watcher::Event;
    use serde_json::{Value, json};

    use super::*;
    use crate::controllers::lean::Lean;

    fn slice(name: &str, spec: Value) -> Slice {
        serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec})).unwrap()
    }

    fn of(name: &str, node: &str) -> Slice {
        slice(name, json!({"driver": DRIVER, "nodeName": node, "devices": [{"name": "gpu-0"}]}))
    }

    #[test]
    fn a_slice_hands_out_the_cards_of_the_node_that_it_names() {
        let devices = json!([{"name": "gpu-0", "basic": {"attributes": {}}}]);
        for (spec, expected) in [
            (json!({"driver": DRIVER, "nodeName": "a", "devices": devices}), Some("a")),
            (json!({"driver": DRIVER, "nodeName": "a", "devices": []}), None),
            (json!({"driver": DRIVER, "nodeName": "a"}), None),
            (json!({"driver": DRIVER, "nodeName": "", "devices": devices}), None),
            (json!({"driver": DRIVER, "allNodes": true, "devices": devices}), None),
            (json!({"driver": "compute-domain.nvidia.com", "nodeName": "a", "devices": devices}), None),
        ] {
            assert_eq!(slice("s", spec.clone()).node(), expected, "{spec}");
        }
    }

    #[test]
    fn a_node_is_named_for_as_long_as_a_slice_names_it() {
        let (mut slices, mut roll) = (Slices::default(), Roll::default());
        let empty = || slice("2", json!({"driver": DRIVER, "nodeName": "a", "devices": []}));
        for (event, expected) in [
            (Event::Init, ""),
            (Event::InitApply(Lean(of("1", "a"))), "a=true"),
            (Event::InitApply(Lean(of("2", "a"))), "a=true"),
            (Event::InitDone, ""),
            (Event::Apply(Lean(of("3", "b"))), "b=true"),
            (Event::Apply(Lean(empty())), "a=true"),
            (Event::Delete(Lean(of("1", "a"))), "a=false"),
            (Event::Delete(Lean(of("1", "a"))), ""),
            (Event::Apply(Lean(of("3", "c"))), "b=false c=true"),
            // A list that breaks off begins anew, and what was known before stays until a list is complete.
            (Event::Init, ""),
            (Event::InitApply(Lean(of("9", "z"))), "z=true"),
            (Event::Init, ""),
            (Event::InitApply(Lean(of("4", "d"))), "d=true"),
            (Event::InitDone, "c=false z=false"),
        ] {
            let shown = format!("{event:?}");
            let changes = roll.change(event, ResourceExt::name_any).map(|change| slices.change(change));
            let told: Vec<_> = changes.into_iter().flatten().map(|(node, on)| format!("{node}={on}")).collect();
            assert_eq!(told.join(" "), expected, "{shown}");
        }
    }

    /// Stands in for an API server: what it says of the group's version, if it has it.
    async fn client(kinds: Option<&[&str]>) -> Client {
        _ = rustls::crypto::ring::default_provider().install_default();
        let mut app = Router::new();
        if let Some(kinds) = kinds {
            let resource = |kind: &&str| {
                let name = format!("{}s", kind.to_lowercase());
                json!({"name": name, "singularName": "", "namespaced": false, "kind": kind, "verbs": ["list", "watch"]})
            };
            let resources: Vec<Value> = kinds.iter().map(resource).collect();
            let version = format!("{GROUP}/{VERSION}");
            let list = json!({"kind": "APIResourceList", "groupVersion": version, "resources": resources}).to_string();
            app = app.route(&format!("/apis/{version}"), get(|| async move { list }));
        }
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Client::try_from(kube::Config::new(url.parse().unwrap())).unwrap()
    }

    #[tokio::test]
    async fn an_api_server_without_slices_is_told_from_one_that_has_them_and_from_none() {
        for (kinds, expected) in
            [(None, false), (Some(&["DeviceClass"][..]), false), (Some(&["DeviceClass", KIND]), true)]
        {
            assert_eq!(is_served(&client(kinds).await).await.unwrap(), expected, "{kinds:?}");
        }
        let away = Client::try_from(kube::Config::new("http://127.0.0.1:1".parse().unwrap())).unwrap();
        assert!(is_served(&away).await.is_err());
    }
}
