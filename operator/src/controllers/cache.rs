//! Objects that are kept in memory as they are, and news of what was missed.

use std::sync::Arc;

use futures::{Stream, StreamExt};
use kube::Resource;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::Store;
use tokio::sync::{broadcast, watch};
use tokio_stream::wrappers::BroadcastStream;

/// Whether everything of a kind was listed once. Not asked of a store itself: it wakes only the last of several that wait.
#[derive(Clone, Debug)]
pub(crate) struct Listed(watch::Receiver<bool>);

impl Listed {
    /// Not yet; the sender says when.
    pub(crate) fn later() -> (watch::Sender<bool>, Self) {
        let (sender, receiver) = watch::channel(false);
        (sender, Self(receiver))
    }

    /// Waits for it; false where the watch has ended before.
    pub(crate) async fn wait(&self) -> bool {
        self.0.clone().wait_for(|listed| *listed).await.is_ok()
    }
}

/// Objects of one kind, kept up to date.
#[derive(Clone)]
pub(crate) struct Cache<K: 'static + Resource<DynamicType = ()>> {
    pub store: Store<K>,
    pub listed: Listed,
}

/// Those of the cached objects that are written as they should be.
pub(crate) fn readable<K>(cached: &[Arc<DeserializeGuard<K>>]) -> impl Iterator<Item = &K> {
    cached.iter().filter_map(|guarded| guarded.0.as_ref().ok())
}

/// What a broadcast brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard<T> {
    One(T),
    /// The listener was too slow: anything may have changed.
    Missed,
}

/// A broadcast as a stream that says where it has missed something.
pub(crate) fn received<T: Clone + Send + 'static>(
    receiver: broadcast::Receiver<T>,
) -> impl Stream<Item = Heard<T>> + Send + 'static {
    BroadcastStream::new(receiver).map(|item| item.map_or(Heard::Missed, Heard::One))
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
        assert_eq!(heard, [Heard::Missed, Heard::One(3), Heard::One(4)]);
    }
}
