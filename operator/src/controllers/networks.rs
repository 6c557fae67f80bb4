//! The networks in use: one handle for each `DepinNetwork` that could be started.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use hawser_attestation::Digest;
use hawser_crds::{DepinNetworkStatus, Settlement};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, info_span, warn};

use crate::fence::Fence;
use crate::metrics::Metrics;
use crate::network::{ActionKey, ActionState, Known, Network, On, OrderHandler, Prepared, SpecError, Start, Wallet};

/// By the name of the `DepinNetwork`.
#[derive(Clone)]
pub(crate) struct Networks(Arc<Inner>);

struct Inner {
    running: RwLock<HashMap<String, Running>>,
    actions: broadcast::Sender<On<ActionKey>>,
    tasks: TaskTracker,
    metrics: Metrics,
    cancel: CancellationToken,
    fence: Fence,
}

struct Running {
    /// What it was made from: another spec or key makes another network.
    made_from: Digest,
    network: Arc<dyn Network>,
    settlement: Settlement,
    cancel: CancellationToken,
}

impl Inner {
    /// Tells the controllers of actions that changed, and counts those that are over.
    async fn pass_on(self: Arc<Self>, name: Arc<str>, network: Arc<dyn Network>, cancel: CancellationToken) {
        let mut changes = network.actions_changed();
        loop {
            let change = tokio::select! {
                () = cancel.cancelled() => return,
                change = changes.recv() => change,
            };
            match change {
                Ok(key) => {
                    match network.action(&key) {
                        Some(ActionState::Mined { .. }) => self.metrics.action(&name, &key, true),
                        Some(ActionState::Refused { .. }) => self.metrics.action(&name, &key, false),
                        _ => {}
                    }
                    // Nobody may be listening.
                    drop(self.actions.send(On { network: Arc::clone(&name), id: key }));
                }
                Err(broadcast::error::RecvError::Lagged(missed)) => warn!(missed, "changes of actions were missed"),
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    }
}

impl Networks {
    pub(crate) fn new(metrics: Metrics, fence: Fence, cancel: CancellationToken) -> Self {
        Self(Arc::new(Inner {
            metrics,
            running: RwLock::default(),
            actions: broadcast::Sender::new(4096),
            tasks: TaskTracker::new(),
            cancel,
            fence,
        }))
    }

    /// The network of this name, if it runs.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<dyn Network>> {
        self.0.running.read().unwrap_or_else(PoisonError::into_inner).get(name).map(|r| Arc::clone(&r.network))
    }

    /// When vouchers of this network's jobs are claimed.
    pub(crate) fn settlement(&self, name: &str) -> Option<Settlement> {
        self.0.running.read().unwrap_or_else(PoisonError::into_inner).get(name).map(|r| r.settlement.clone())
    }

    /// Another network that sends from this wallet.
    pub(crate) fn with_wallet(&self, but: &str, wallet: &Wallet) -> Option<String> {
        let running = self.0.running.read().unwrap_or_else(PoisonError::into_inner);
        let same = |r: &Running| r.network.wallet() == *wallet;
        running.iter().find(|(name, r)| *name != but && same(r)).map(|(name, _)| name.clone())
    }

    /// Actions of any network whose state changed.
    pub(crate) fn actions(&self) -> broadcast::Receiver<On<ActionKey>> {
        self.0.actions.subscribe()
    }

    /// Whether the network of this name runs and was made from this.
    pub(crate) fn is_made_from(&self, name: &str, made_from: Digest) -> bool {
        let running = self.0.running.read().unwrap_or_else(PoisonError::into_inner);
        running.get(name).is_some_and(|r| r.made_from == made_from)
    }

    /// Starts a network in the place of an earlier one, and hands its orders to `handler`. It goes on from what an earlier
    /// process has left in the object's status, and what is known to be the provider's.
    pub(crate) async fn start(
        &self,
        name: &str,
        made_from: Digest,
        settlement: Settlement,
        prepared: Prepared,
        (stored, known): (DepinNetworkStatus, Known),
        handler: impl FnOnce(Arc<dyn Network>) -> OrderHandler,
    ) -> Result<(), SpecError> {
        // One sender a wallet: the earlier network has sent its last transaction before the next one starts.
        self.stop(name).await;
        let cancel = self.0.cancel.child_token();
        let (fence, requests) = (self.0.fence.clone(), Arc::new(self.0.metrics.rpc_calls(name)));
        let span = info_span!("network", network = name);
        let with = Start { stored, known, cancel: cancel.clone(), fence, requests };
        let network = span.in_scope(|| prepared.start(with))?;
        let orders = Arc::clone(&network).watch_orders(handler(Arc::clone(&network)));
        self.0.tasks.spawn(orders.instrument(span.clone()));
        let pass_on = Arc::clone(&self.0).pass_on(name.into(), Arc::clone(&network), cancel.clone());
        self.0.tasks.spawn(pass_on.instrument(span));
        self.0
            .running
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name.to_owned(), Running { made_from, network, settlement, cancel });
        Ok(())
    }

    /// Stops the network of this name; returns when its sender is done.
    pub(crate) async fn stop(&self, name: &str) {
        let removed = self.0.running.write().unwrap_or_else(PoisonError::into_inner).remove(name);
        if let Some(running) = removed {
            running.cancel.cancel();
            running.network.stopped().await;
        }
    }

    /// After the token given to [`Networks::new`] was cancelled: returns when every sender is done.
    pub(crate) async fn stopped(&self) {
        let networks: Vec<Arc<dyn Network>> = {
            let running = self.0.running.read().unwrap_or_else(PoisonError::into_inner);
            running.values().map(|r| Arc::clone(&r.network)).collect()
        };
        for network in networks {
            network.stopped().await;
        }
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }
}
