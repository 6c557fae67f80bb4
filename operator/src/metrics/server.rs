//! How the API server answers, and when something was last heard on each watch.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use super::book::{ANSWERS, Book, Decimal, Durations};
use super::labels::{Verb, VerbOutcome, Watched};

/// What became of a request to the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerOutcome {
    /// It was done.
    Ok,
    /// The server has enough of us for now (429).
    Limited,
    /// The server says no (another 4xx): a conflict, a right that is missing, an object that is gone.
    Refused,
    /// The server can't (5xx).
    Failed,
    /// No answer came in time.
    Silent,
    /// There is no connection.
    Unreachable,
}

impl ServerOutcome {
    /// By the status of the answer.
    pub fn of(status: u16) -> Self {
        match status {
            429 => Self::Limited,
            400..=499 => Self::Refused,
            500.. => Self::Failed,
            _ => Self::Ok,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Limited => "limited",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Silent => "silent",
            Self::Unreachable => "unreachable",
        }
    }
}

/// Requests to the API server. Clones are the same numbers.
#[derive(Clone, Debug)]
pub struct ServerCalls {
    requests: Family<VerbOutcome, Counter>,
    took: Durations<Verb>,
    silence: Family<Watched, Decimal>,
    /// When something was last heard on the watch of a path.
    heard: Arc<Mutex<HashMap<String, Instant>>>,
}

impl Default for ServerCalls {
    fn default() -> Self {
        Self::new(&mut Book::new())
    }
}

impl ServerCalls {
    pub(super) fn new(book: &mut Book) -> Self {
        Self {
            requests: book.metric(
                "api_requests",
                "Requests to the API server, by what became of them; a watch counts when it is opened",
            ),
            took: book.durations("api_request_duration_seconds", "How long answers of the API server took", ANSWERS),
            silence: book.metric(
                "watch_silence_seconds",
                "Since when the API server has said nothing on the watch of a resource: how old the cache can be",
            ),
            heard: Arc::default(),
        }
    }

    /// A request has come to an end.
    pub fn made(&self, verb: &'static str, outcome: ServerOutcome, took: Duration) {
        self.requests.get_or_create(&VerbOutcome { verb, outcome: outcome.name() }).inc();
        self.took.get_or_create(&Verb { verb }).observe(took.as_secs_f64());
    }

    /// Something was heard on the watch of this path.
    pub fn heard(&self, path: &str) {
        let (mut heard, now) = (self.all_heard(), Instant::now());
        match heard.get_mut(path) {
            Some(at) => *at = now,
            None => drop(heard.insert(path.to_owned(), now)),
        }
    }

    /// For how long nothing was heard on the watch of this path; none where it never was open.
    pub(crate) fn silence(&self, path: &str) -> Option<Duration> {
        self.all_heard().get(path).map(Instant::elapsed)
    }

    pub(super) fn refresh(&self, now: Instant) {
        for (path, at) in self.all_heard().iter() {
            let label = Watched { resource: resource(path).to_owned() };
            self.silence.get_or_create(&label).set(now.saturating_duration_since(*at).as_secs_f64());
        }
    }

    fn all_heard(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is watched at a path: its last part.
fn resource(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::super::Metrics;
    use super::*;

    #[test]
    fn the_outcome_of_a_request_follows_its_status() {
        for (status, name) in [
            (200, "ok"),
            (201, "ok"),
            (404, "refused"),
            (409, "refused"),
            (429, "limited"),
            (500, "failed"),
            (503, "failed"),
        ] {
            assert_eq!(ServerOutcome::of(status).name(), name, "{status}");
        }
    }

    #[test]
    fn a_watch_on_which_nothing_is_heard_grows_older_until_something_is() {
        let (metrics, path) = (Metrics::default(), "/apis/hawser.dev/v1alpha1/gpuoffers");
        let calls = metrics.server_calls();
        calls.heard(path);
        let long_ago = Instant::now().checked_sub(Duration::from_secs(90)).unwrap();
        calls.all_heard().insert(path.to_owned(), long_ago);
        let series = |text: &str| {
            let line = text.lines().find(|line| line.starts_with("hawser_watch_silence_seconds{")).unwrap().to_owned();
            let (label, value) = line.rsplit_once(' ').unwrap();
            (label.to_owned(), value.parse::<f64>().unwrap())
        };
        let (label, old) = series(&metrics.text());
        assert_eq!(label, "hawser_watch_silence_seconds{resource=\"gpuoffers\"}");
        assert!((89.0..100.0).contains(&old), "{old}");
        assert!(calls.silence(path).unwrap() >= Duration::from_secs(89));
        calls.heard(path);
        assert!(calls.silence(path).unwrap() < Duration::from_secs(80));
        assert_eq!(calls.silence("/api/v1/pods"), None);
        assert!(series(&metrics.text()).1 < 80.0);
    }
}
