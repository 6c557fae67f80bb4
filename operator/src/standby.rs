//! What a replica does before it may take part in the election.

use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tracing::{info, warn};

use crate::health::{Health, Phase};
use crate::metrics::Metrics;
use crate::{definitions, leader};

/// From one try to the next.
const AGAIN: Duration = Duration::from_secs(1);
/// From one look at the definitions to the next.
const LOOK: Duration = Duration::from_secs(3);

/// This process among others.
#[derive(Clone)]
pub struct Replica {
    client: Client,
    namespace: String,
    name: String,
}

impl std::fmt::Debug for Replica {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replica").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Replica {
    /// The replica of this name, which is its pod's; `client` writes without a lease.
    pub fn new(client: Client, namespace: &str, name: &str) -> Self {
        Self { client, namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// Returns when this replica may lead: it is not taken for a leader that it was once, and the custom resource
    /// definitions know all that it writes.
    pub async fn prepare(&self, health: &Health, metrics: &Metrics) {
        while let Err(error) = leader::unmark(self.client.clone(), &self.namespace, &self.name).await {
            // Without the right to do so the mark is one that this replica never set.
            if is_forbidden(&error) {
                warn!(%error, "whether this pod is marked as the leader's can't be seen");
                break;
            }
            warn!(%error, "waiting for the API server");
            tokio::time::sleep(AGAIN).await;
        }
        let mut said = None;
        while let Some(what) = self.outdated().await {
            metrics.outdated(true);
            health.enter(Phase::Outdated(what.clone()));
            if said.as_ref() != Some(&what) {
                warn!("{what}");
                self.emit_event(&what).await;
                said = Some(what);
            }
            tokio::time::sleep(LOOK).await;
        }
        if said.is_some() {
            info!("the custom resource definitions are new enough now");
        }
        metrics.outdated(false);
    }

    async fn outdated(&self) -> Option<String> {
        loop {
            match definitions::outdated(&self.client).await {
                Ok(outdated) => return outdated,
                Err(error) if is_forbidden(&error) => {
                    warn!(%error, "whether the custom resource definitions are new enough can't be seen: upgrade the chart hawser");
                    return None;
                }
                Err(error) => warn!(%error, "the custom resource definitions can't be read; it is tried again"),
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// An event on this replica's pod: there is no object of Hawser's own that could be written.
    async fn emit_event(&self, what: &str) {
        let controller = "hawser.dev/operator".to_owned();
        let recorder = Recorder::new(self.client.clone(), Reporter { controller, instance: Some(self.name.clone()) });
        let pod = ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            name: Some(self.name.clone()),
            namespace: Some(self.namespace.clone()),
            ..ObjectReference::default()
        };
        let event = Event {
            type_: EventType::Warning,
            reason: "DefinitionsOutdated".to_owned(),
            note: Some(what.to_owned()),
            action: "Wait".to_owned(),
            secondary: None,
        };
        if let Err(error) = recorder.publish(&event, &pod).await {
            warn!(%error, "an event could not be written");
        }
    }
}

fn is_forbidden(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 403)
}
