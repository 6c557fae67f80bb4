//! Kubernetes events: what happened to an object, for `kubectl describe`.

use std::sync::{Mutex, PoisonError};

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tracing::warn;

use super::conditions::is_trouble;
use crate::reasons::Reason;

/// Longest note that the API server takes, in bytes.
const NOTE: usize = 1000;

/// A recorder keeps each event for six minutes, 3.5 kB of it, so that the same one again is counted and not written anew.
/// After so many the next recorder begins: of a burst that is enough.
const REMEMBERED: usize = 500;

/// Writes events in this operator's name.
pub(crate) struct Events {
    client: Client,
    reporter: Reporter,
    /// And what it has written.
    recorder: Mutex<(Recorder, usize)>,
}

impl Events {
    pub(crate) fn new(client: Client, pod: &str) -> Self {
        let reporter = Reporter { controller: "hawser.dev/operator".to_owned(), instance: Some(pod.to_owned()) };
        let recorder = Mutex::new((Recorder::new(client.clone(), reporter.clone()), 0));
        Self { client, reporter, recorder }
    }

    fn recorder(&self) -> Recorder {
        let mut recorder = self.recorder.lock().unwrap_or_else(PoisonError::into_inner);
        if recorder.1 == REMEMBERED {
            *recorder = (Recorder::new(self.client.clone(), self.reporter.clone()), 0);
        }
        recorder.1 += 1;
        recorder.0.clone()
    }

    /// One event for each of these conditions.
    pub(crate) async fn conditions(&self, about: &ObjectReference, transitions: &[&Condition]) {
        for condition in transitions {
            let reason = Reason::read(&condition.reason);
            self.emit(about, is_trouble(condition), &reason, &condition.type_, &condition.message).await;
        }
    }

    /// One event. An event that can't be written is no reason to stop.
    pub(crate) async fn emit(&self, about: &ObjectReference, bad: bool, reason: &Reason, action: &str, note: &str) {
        if reason.as_str().is_empty() {
            return;
        }
        let event = Event {
            type_: if bad { EventType::Warning } else { EventType::Normal },
            reason: reason.to_string(),
            note: Some(note[..note.floor_char_boundary(NOTE)].to_owned()),
            action: action.to_owned(),
            secondary: None,
        };
        if let Err(error) = self.recorder().publish(&event, about).await {
            warn!(%error, %reason, "an event could not be written");
        }
    }
}
