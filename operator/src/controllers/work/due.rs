//! What is due for a look.

use std::collections::{HashSet, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use futures::{Stream, stream};
use tokio::sync::Notify;

/// Keys that are due, first in, first out. What is due twice before it is taken is due once: so nothing is ever lost to
/// a lag, and no more is kept than there are objects. Clones are the same queue.
#[derive(Debug)]
pub(crate) struct Due<T>(Arc<Inner<T>>);

#[derive(Debug)]
struct Inner<T> {
    queue: Mutex<(VecDeque<T>, HashSet<T>)>,
    bell: Notify,
}

impl<T> Clone for Due<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Due<T> {
    fn default() -> Self {
        Self(Arc::new(Inner { queue: Mutex::default(), bell: Notify::new() }))
    }
}

impl<T: Clone + Eq + Hash + Send + 'static> Due<T> {
    pub(crate) fn add(&self, keys: impl IntoIterator<Item = T>) {
        {
            let (order, known) = &mut *self.0.queue.lock().unwrap_or_else(PoisonError::into_inner);
            for key in keys {
                if known.insert(key.clone()) {
                    order.push_back(key);
                }
            }
        }
        self.0.bell.notify_one();
    }

    fn take(&self) -> Option<T> {
        let (order, known) = &mut *self.0.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let key = order.pop_front()?;
        known.remove(&key);
        Some(key)
    }

    /// The keys as they become due; there is one taker.
    pub(crate) fn taken(&self) -> impl Stream<Item = T> + Send + 'static {
        stream::unfold(self.clone(), async |due| {
            loop {
                if let Some(key) = due.take() {
                    return Some((key, due));
                }
                due.0.bell.notified().await;
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, StreamExt};

    use super::*;

    #[tokio::test]
    async fn what_is_due_twice_before_it_is_taken_is_taken_once_and_none_is_lost() {
        let due = Due::default();
        let mut taken = due.taken().boxed();
        for _ in 0..10_000 {
            due.add(["a", "b"]);
        }
        assert_eq!((taken.next().await, taken.next().await), (Some("a"), Some("b")));
        assert_eq!(taken.next().now_or_never(), None);
        due.add(["a"]);
        assert_eq!(taken.next().await, Some("a"));
    }

    #[tokio::test]
    async fn who_waits_is_woken() {
        let due = Due::default();
        let waiting = tokio::spawn({
            let mut taken = due.taken().boxed();
            async move { taken.next().await }
        });
        tokio::task::yield_now().await;
        due.add(["a"]);
        assert_eq!(waiting.await.unwrap(), Some("a"));
    }
}
