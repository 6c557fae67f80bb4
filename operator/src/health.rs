//! `/healthz`, `/readyz` and `/metrics`: they tell what is.
//!
//! Ready is a replica that leads, or that could at once. Alive is one whose work goes on: an API server that is away is no
//! reason to start anew, a reconcile that never ends is one.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::get;
use tokio_util::sync::CancellationToken;

use crate::fence::{Fence, Moment};
use crate::kubernetes::Contact;
use crate::listen;
use crate::metrics::Metrics;

/// A reconcile takes seconds, and everything that it waits for has a time-out.
const STUCK: Duration = Duration::from_mins(5);

/// What a replica is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// It has seen nothing yet.
    #[default]
    Starting,
    /// It waits for newer custom resource definitions, and says which.
    Outdated(String),
    /// It lists what it needs to lead.
    Listing,
    /// It could lead at once.
    StandingBy,
    /// It leads.
    Leading,
    /// It ends.
    Stopping,
}

/// This replica's health. Clones are the same.
#[derive(Clone, Debug)]
pub struct Health {
    phase: Arc<Mutex<Phase>>,
    fence: Fence,
    contacts: [Contact; 2],
    work: Work,
}

impl Health {
    /// Of a replica whose lease is behind `fence`, and whose connections for the election and for the work tell `contacts`.
    pub fn new(fence: Fence, contacts: [Contact; 2]) -> Self {
        Self { phase: Arc::default(), fence, contacts, work: Work::default() }
    }

    /// What it is about from now on. Once it stops, nothing else comes.
    pub fn enter(&self, phase: Phase) {
        let mut present = self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        if *present != Phase::Stopping {
            *present = phase;
        }
    }

    /// Where work that is begun is written down.
    pub fn work(&self) -> Work {
        self.work.clone()
    }

    fn ready(&self) -> Result<&'static str, String> {
        let phase = self.phase.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let trouble = self.contacts.iter().find_map(Contact::trouble);
        ready(&phase, self.fence.holds(), self.fence.is_over(), trouble)
    }
}

/// Whether a replica is Ready, or why not.
fn ready(phase: &Phase, holds: bool, lost: bool, trouble: Option<String>) -> Result<&'static str, String> {
    match phase {
        Phase::Stopping => Err("stopping".to_owned()),
        _ if lost => Err("the lease is lost: this replica ends".to_owned()),
        Phase::Outdated(what) => Err(what.clone()),
        _ if trouble.is_some() => Err(trouble.unwrap_or_default()),
        Phase::Starting => Err("starting".to_owned()),
        Phase::Listing => Err("not everything is listed yet".to_owned()),
        Phase::StandingBy => Ok("standing by"),
        Phase::Leading if holds => Ok("leading"),
        Phase::Leading => Err("the lease is not held".to_owned()),
    }
}

/// Reconciles that run. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Work(Arc<Mutex<Running>>);

#[derive(Debug, Default)]
struct Running {
    next: u64,
    since: BTreeMap<u64, (&'static str, Moment)>,
}

/// Work that goes on until this is dropped.
#[derive(Debug)]
pub struct Busy(Work, u64);

impl Work {
    /// Begins work of a kind.
    pub fn begin(&self, kind: &'static str) -> Busy {
        let mut running = self.running();
        running.next += 1;
        let id = running.next;
        running.since.insert(id, (kind, Moment::now()));
        Busy(self.clone(), id)
    }

    /// What has been going on for too long.
    fn stuck(&self, now: Moment) -> Option<String> {
        // The oldest has the lowest number.
        let (kind, since) = *self.running().since.values().next()?;
        let took = now.since(since);
        (took > STUCK).then(|| format!("a reconcile of a {kind} has not ended for {} s", took.as_secs()))
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.running().since.remove(&self.1);
    }
}

/// Serves until `cancel`.
///
/// # Errors
/// Where the address can't be listened on.
pub async fn serve(
    address: SocketAddr,
    health: Health,
    metrics: Metrics,
    cancel: CancellationToken,
) -> Result<(), std::io::Error> {
    let work = health.work();
    let alive = move || async move {
        work.stuck(Moment::now())
            .map_or((StatusCode::OK, "ok".to_owned()), |why| (StatusCode::INTERNAL_SERVER_ERROR, why))
    };
    let ready = move || async move {
        match health.ready() {
            Ok(what) => (StatusCode::OK, what.to_owned()),
            Err(why) => (StatusCode::SERVICE_UNAVAILABLE, why),
        }
    };
    let text = move || async move {
        ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], metrics.text())
    };
    let app = Router::new().route("/healthz", get(alive)).route("/readyz", get(ready)).route("/metrics", get(text));
    let listener = listen::listen(address).await?;
    axum::serve(listener, app).with_graceful_shutdown(cancel.cancelled_owned()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_is_who_leads_or_could_at_once_and_others_say_why_not() {
        let old = || Phase::Outdated("CustomResourceDefinition gpuoffers.hawser.dev is too old".to_owned());
        let away = || Some("the API server has not answered for 9 s".to_owned());
        for (phase, holds, lost, trouble, expected) in [
            (Phase::Starting, false, false, None, Err("starting")),
            (Phase::Listing, false, false, None, Err("not everything is listed yet")),
            (Phase::StandingBy, false, false, None, Ok("standing by")),
            (Phase::StandingBy, false, false, away(), Err("the API server has not answered for 9 s")),
            (Phase::Leading, true, false, None, Ok("leading")),
            (Phase::Leading, true, false, away(), Err("the API server has not answered for 9 s")),
            (Phase::Leading, false, false, None, Err("the lease is not held")),
            (Phase::Leading, false, true, None, Err("the lease is lost: this replica ends")),
            (old(), false, false, None, Err("CustomResourceDefinition gpuoffers.hawser.dev is too old")),
            (Phase::Stopping, true, false, None, Err("stopping")),
        ] {
            assert_eq!(ready(&phase, holds, lost, trouble), expected.map_err(str::to_owned), "{phase:?}");
        }
    }

    #[test]
    fn a_replica_is_alive_until_one_reconcile_does_not_end() {
        let work = Work::default();
        let now = Moment::now();
        let late = now.plus(Duration::from_mins(6));
        assert_eq!(work.stuck(late), None);
        let first = work.begin("GpuOffer");
        let second = work.begin("ComputeJob");
        assert_eq!(work.stuck(now), None);
        assert!(work.stuck(late).is_some_and(|why| why.starts_with("a reconcile of a GpuOffer")));
        drop(first);
        assert!(work.stuck(late).is_some_and(|why| why.starts_with("a reconcile of a ComputeJob")));
        drop(second);
        assert_eq!(work.stuck(late), None);
    }
}
