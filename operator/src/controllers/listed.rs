//! What is known of the cluster at a start, and what may be done with that much.

use std::time::Instant;

use tokio::sync::watch;
use tracing::info;

/// Whether everything of a kind was listed once. Not asked of a store itself: it wakes only the last of several that wait.
#[derive(Clone, Debug)]
pub(crate) struct Listed(watch::Receiver<bool>);

impl Listed {
    /// Not yet; the first says when.
    pub(crate) fn later(kind: &'static str) -> (Listing, Self) {
        let (told, receiver) = watch::channel(false);
        (Listing { kind, began: Instant::now(), told }, Self(receiver))
    }

    /// Waits for it; false where the watch has ended before.
    pub(crate) async fn wait(&self) -> bool {
        self.0.clone().wait_for(|listed| *listed).await.is_ok()
    }
}

/// A list that is under way. Where it is dropped before it is done, nobody waits any more.
#[derive(Debug)]
pub(crate) struct Listing {
    kind: &'static str,
    began: Instant,
    told: watch::Sender<bool>,
}

impl Listing {
    /// Everything was listed; it may be said again.
    pub(crate) fn done(&self) {
        if !self.told.send_replace(true) {
            info!(kind = self.kind, seconds = self.began.elapsed().as_secs_f32(), "listed");
        }
    }
}

/// All that a start lists.
#[derive(Clone, Debug)]
pub(crate) struct Lists {
    /// Jobs, offers and what offers rest on.
    pub market: Vec<Listed>,
    /// Pods and nodes: in a large cluster most of a start.
    pub capacity: Vec<Listed>,
}

impl Lists {
    /// Waits for all of it: what is in no cache before that is not missing. False where a watch has ended before.
    pub(crate) async fn all(&self) -> bool {
        self.market().await && all(&self.capacity).await
    }

    /// Waits for as much as a network and its orders need: where a job can run is asked later.
    pub(crate) async fn market(&self) -> bool {
        all(&self.market).await
    }
}

async fn all(lists: &[Listed]) -> bool {
    for listed in lists {
        if !listed.wait().await {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn orders_wait_for_jobs_and_offers_and_everything_else_for_the_whole_cluster() {
        let ((jobs, market), (pods, capacity)) = (Listed::later("ComputeJob"), Listed::later("Pod"));
        let lists = Lists { market: vec![market], capacity: vec![capacity] };
        assert_eq!((lists.market().now_or_never(), lists.all().now_or_never()), (None, None));
        jobs.done();
        assert_eq!((lists.market().now_or_never(), lists.all().now_or_never()), (Some(true), None));
        pods.done();
        assert!(lists.all().await);
    }

    #[tokio::test]
    async fn nobody_waits_for_a_watch_that_has_ended() {
        let (pods, capacity) = Listed::later("Pod");
        let lists = Lists { market: Vec::new(), capacity: vec![capacity] };
        drop(pods);
        assert!(!lists.all().await);
    }
}
