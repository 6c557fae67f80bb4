//! What is kept of pods and nodes in memory: only what is read.

use std::fmt::Debug;
use std::sync::Arc;

use futures::{Stream, StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{Node, Pod, PodSpec};
use kube::core::DeserializeGuard;
use kube::runtime::reflector::{ObjectRef, Store, store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::kubernetes;

/// Changes that a slow controller may miss; it looks at everything again now and then anyway.
pub(crate) const CHANGES: usize = 4096;

/// Objects of one kind, kept up to date, and news of their changes.
#[derive(Clone)]
pub(crate) struct Cache<K: 'static + Resource<DynamicType = ()>> {
    pub store: Store<K>,
    /// Whether everything was listed once. Not asked of the store itself: it wakes only the last of several that wait.
    listed: watch::Receiver<bool>,
    changed: broadcast::Sender<ObjectRef<K>>,
}

impl<K> Cache<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    /// Watches all objects of the kind until `cancel`; `prune` drops what nobody reads.
    pub(crate) fn start(client: Client, prune: fn(&mut K), cancel: CancellationToken) -> Self {
        let (reader, writer) = store();
        let changed = broadcast::Sender::new(CHANGES);
        let (all_listed, listed) = watch::channel(false);
        let news = changed.clone();
        let stream = watcher(Api::<K>::all(client), kubernetes::watching())
            .backoff(kubernetes::again())
            .modify(move |object| {
                object.managed_fields_mut().clear();
                prune(object);
            })
            .reflect(writer)
            .inspect_ok(move |event| {
                if matches!(event, watcher::Event::InitDone) {
                    all_listed.send_replace(true);
                }
            })
            .touched_objects();
        tokio::spawn(async move {
            let mut stream = std::pin::pin!(stream.take_until(cancel.cancelled_owned()));
            while let Some(event) = stream.next().await {
                match event {
                    // Nobody may be listening.
                    Ok(object) => drop(news.send(ObjectRef::from_obj(&object))),
                    Err(error) => warn!(kind = %K::kind(&()), %error, "watch failed; it goes on after a while"),
                }
            }
        });
        Self { store: reader, listed, changed }
    }

    /// Waits until everything was listed once; false where the watch has ended before.
    pub(crate) async fn listed(&self) -> bool {
        self.listed.clone().wait_for(|listed| *listed).await.is_ok()
    }

    /// That something changes from now on. Who lags hears that, too.
    pub(crate) fn news(&self) -> impl Stream<Item = ()> + Send + 'static {
        tokio_stream::wrappers::BroadcastStream::new(self.changed.subscribe()).map(drop)
    }

    /// What changes from now on; a lagging listener misses some.
    pub(crate) fn changes(&self) -> impl Stream<Item = ObjectRef<K>> + Send + 'static {
        received(self.changed.subscribe())
    }
}

/// Those of the cached objects that are written as they should be.
pub(crate) fn readable<K>(cached: &[Arc<DeserializeGuard<K>>]) -> impl Iterator<Item = &K> {
    cached.iter().filter_map(|guarded| guarded.0.as_ref().ok())
}

/// A broadcast as a stream that passes over what it missed.
pub(crate) fn received<T: Clone + Send + 'static>(
    receiver: broadcast::Receiver<T>,
) -> impl Stream<Item = T> + Send + 'static {
    tokio_stream::wrappers::BroadcastStream::new(receiver).filter_map(async |item| item.ok())
}

/// Of a pod: who it is, what it asks for, where it runs and how.
pub(crate) fn prune_pod(pod: &mut Pod) {
    pod.annotations_mut().clear();
    if let Some(spec) = pod.spec.as_mut() {
        let mut kept = PodSpec { node_name: spec.node_name.take(), ..PodSpec::default() };
        for (from, to) in
            [(spec.init_containers.take().unwrap_or_default(), true), (std::mem::take(&mut spec.containers), false)]
        {
            let slim = from.into_iter().map(|c| k8s_openapi::api::core::v1::Container {
                name: c.name,
                resources: c.resources,
                restart_policy: c.restart_policy,
                ..Default::default()
            });
            if to {
                kept.init_containers = Some(slim.collect());
            } else {
                kept.containers = slim.collect();
            }
        }
        *spec = kept;
    }
}

/// Of a node: labels, whether it can be used, and how much it has.
pub(crate) fn prune_node(node: &mut Node) {
    node.annotations_mut().clear();
    if let Some(status) = node.status.as_mut() {
        status.images = None;
        status.node_info = None;
        status.volumes_attached = None;
        status.volumes_in_use = None;
        for condition in status.conditions.iter_mut().flatten() {
            // Changes with each heartbeat and says nothing that is read.
            condition.last_heartbeat_time = None;
        }
    }
}
