//! Objects that are kept in memory as they are, and news of what was missed.

use std::fmt::Debug;
use std::sync::Arc;

use futures::{Stream, StreamExt, TryStreamExt};
use kube::core::DeserializeGuard;
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::{ObjectRef, Store, store};
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::listed::Listed;
use crate::kubernetes;
use crate::metrics::Metrics;

/// Changes that a slow listener may miss; it hears that it has.
const CHANGES: usize = 4096;

/// Objects of one kind, kept up to date.
#[derive(Clone)]
pub(crate) struct Cache<K: 'static + Resource<DynamicType = ()>> {
    pub store: Store<K>,
    pub listed: Listed,
}

/// Objects of a kind of which there are few, kept up to date, with news of their changes.
#[derive(Clone)]
pub(crate) struct Followed<K: 'static + Resource<DynamicType = ()>> {
    pub store: Store<K>,
    pub listed: Listed,
    changed: broadcast::Sender<ObjectRef<K>>,
}

impl<K> Followed<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    /// Watches all objects of the kind until `cancel`; `prune` drops what nobody reads. Failures are counted under `kind`.
    pub(crate) fn start(
        client: Client,
        kind: &'static str,
        prune: fn(&mut K),
        metrics: Metrics,
        cancel: CancellationToken,
    ) -> Self {
        let (reader, writer) = store();
        let changed = broadcast::Sender::new(CHANGES);
        let (listing, listed) = Listed::later(kind);
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
                    listing.done();
                }
            })
            .touched_objects();
        tokio::spawn(async move {
            let mut stream = std::pin::pin!(stream.take_until(cancel.cancelled_owned()));
            while let Some(event) = stream.next().await {
                match event {
                    // Nobody may be listening.
                    Ok(object) => drop(news.send(ObjectRef::from_obj(&object))),
                    Err(error) => {
                        metrics.watch_errors(kind).inc();
                        warn!(kind, %error, "watch failed; it goes on after a while");
                    }
                }
            }
        });
        Self { store: reader, listed, changed }
    }

    /// What changes from now on; a lagging listener hears that it missed some.
    pub(crate) fn changes(&self) -> impl Stream<Item = Received<ObjectRef<K>>> + Send + 'static {
        received(self.changed.subscribe())
    }
}

/// Those of the cached objects that are written as they should be.
pub(crate) fn readable<K>(cached: &[Arc<DeserializeGuard<K>>]) -> impl Iterator<Item = &K> {
    cached.iter().filter_map(|guarded| guarded.0.as_ref().ok())
}

/// What a broadcast brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Received<T> {
    One(T),
    /// The listener was too slow: anything may have changed.
    Missed,
}

/// A broadcast as a stream that says where it has missed something.
pub(crate) fn received<T: Clone + Send + 'static>(
    receiver: broadcast::Receiver<T>,
) -> impl Stream<Item = Received<T>> + Send + 'static {
    BroadcastStream::new(receiver).map(|item| item.map_or(Received::Missed, Received::One))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_listener_that_was_too_slow_hears_that_it_missed_something() {
        let sender = broadcast::Sender::new(2);
        let heard = received(sender.subscribe());
        for number in 0..5 {
            sender.send(number).unwrap();
        }
        drop(sender);
        let heard: Vec<_> = heard.collect().await;
        assert_eq!(heard, [Received::Missed, Received::One(3), Received::One(4)]);
    }
}
