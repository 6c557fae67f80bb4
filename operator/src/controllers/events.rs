//! Kubernetes events: what happened to an object, for `kubectl describe`.

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tracing::warn;

use super::conditions::is_trouble;

/// Longest note that the API server takes, in bytes.
const NOTE: usize = 1000;

/// Writes events in this operator's name.
#[derive(Clone)]
pub(crate) struct Events(Recorder);

impl Events {
    pub(crate) fn new(client: Client, pod: &str) -> Self {
        Self(Recorder::new(
            client,
            Reporter { controller: "hawser.dev/operator".to_owned(), instance: Some(pod.to_owned()) },
        ))
    }

    /// One event for each of these conditions.
    pub(crate) async fn conditions(&self, about: &ObjectReference, news: &[&Condition]) {
        for condition in news {
            self.say(about, is_trouble(condition), &condition.reason, &condition.type_, &condition.message).await;
        }
    }

    /// One event. An event that can't be written is no reason to stop.
    pub(crate) async fn say(&self, about: &ObjectReference, bad: bool, reason: &str, action: &str, note: &str) {
        if reason.is_empty() {
            return;
        }
        let mut note = note.to_owned();
        while note.len() > NOTE {
            note.pop();
        }
        let event = Event {
            type_: if bad { EventType::Warning } else { EventType::Normal },
            reason: reason.to_owned(),
            note: Some(note),
            action: action.to_owned(),
            secondary: None,
        };
        if let Err(error) = self.0.publish(&event, about).await {
            warn!(%error, reason, "an event could not be written");
        }
    }
}
