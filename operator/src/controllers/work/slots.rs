//! How many jobs of one network are looked at side by side.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Each network has slots of its own: one that answers late holds up its own jobs and no others.
#[derive(Debug)]
pub(crate) struct Slots {
    each: usize,
    networks: Mutex<HashMap<String, Arc<Semaphore>>>,
}

impl Slots {
    pub(crate) fn new(each: usize) -> Self {
        Self { each, networks: Mutex::default() }
    }

    /// A slot of a network, to be held for one look; none is only given where the operator is wrong about its own.
    pub(crate) async fn enter(&self, network: &str) -> Option<OwnedSemaphorePermit> {
        let slots = {
            let mut networks = self.networks.lock().unwrap_or_else(PoisonError::into_inner);
            if !networks.contains_key(network) {
                // Names come from jobs: those that nobody uses now are not kept.
                networks.retain(|_, slots| Arc::strong_count(slots) > 1);
            }
            let slots = networks.entry(network.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(self.each)));
            Arc::clone(slots)
        };
        slots.acquire_owned().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_network_whose_jobs_fill_its_slots_leaves_the_others_theirs() {
        let slots = Slots::new(2);
        let held = [slots.enter("slow").await, slots.enter("slow").await];
        assert!(held.iter().all(Option::is_some));
        assert!(slots.enter("slow").now_or_never().is_none(), "its slots are full");
        assert!(slots.enter("quick").now_or_never().is_some());
        drop(held);
        assert!(slots.enter("slow").now_or_never().is_some());
        slots.enter("other").await;
        assert_eq!(slots.networks.lock().unwrap().len(), 1, "networks that nobody waits for are not kept");
    }
}
