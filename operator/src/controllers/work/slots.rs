//! How many jobs of one network are looked at side by side. New orders have slots of their own: after a start, when all
//! jobs are looked at, they don't wait behind thousands that run.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Each network has slots of its own: one that answers late holds up its own jobs and no others.
#[derive(Debug)]
pub(crate) struct Slots {
    each: usize,
    lanes: Mutex<HashMap<Lane, Arc<Semaphore>>>,
}

/// Jobs that wait for each other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Lane {
    /// Orders of one network, or what was written by hand; `new`: not accepted yet.
    Live { network: Option<String>, new: bool },
    /// Settled, or not to be read: for these nothing runs out.
    Rest,
}

impl Slots {
    pub(crate) fn new(each: usize) -> Self {
        Self { each, lanes: Mutex::default() }
    }

    /// A slot of a lane, to be held for one look; none is only given where the operator is wrong about its own.
    pub(crate) async fn enter(&self, lane: Lane) -> Option<OwnedSemaphorePermit> {
        let slots = {
            let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
            if !lanes.contains_key(&lane) {
                // Names come from jobs: those that nobody uses now are not kept.
                lanes.retain(|_, slots| Arc::strong_count(slots) > 1);
            }
            let slots = lanes.entry(lane).or_insert_with(|| Arc::new(Semaphore::new(self.each)));
            Arc::clone(slots)
        };
        slots.acquire_owned().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn lane(network: &str, new: bool) -> Lane {
        Lane::Live { network: Some(network.to_owned()), new }
    }

    #[tokio::test]
    async fn a_network_whose_jobs_fill_its_slots_leaves_the_others_theirs() {
        let slots = Slots::new(2);
        let held = [slots.enter(lane("slow", false)).await, slots.enter(lane("slow", false)).await];
        assert!(held.iter().all(Option::is_some));
        assert!(slots.enter(lane("slow", false)).now_or_never().is_none(), "its slots are full");
        assert!(slots.enter(lane("quick", false)).now_or_never().is_some());
        drop(held);
        assert!(slots.enter(lane("slow", false)).now_or_never().is_some());
        slots.enter(lane("other", false)).await;
        assert_eq!(slots.lanes.lock().unwrap().len(), 1, "networks that nobody waits for are not kept");
    }

    #[tokio::test]
    async fn new_orders_do_not_wait_behind_jobs_that_run() {
        let slots = Slots::new(1);
        let _running = slots.enter(lane("busy", false)).await;
        let waits = slots.enter(lane("busy", false));
        let new = slots.enter(lane("busy", true)).now_or_never();
        assert!(new.flatten().is_some(), "its own slots are free");
        assert!(waits.now_or_never().is_none());
    }
}
