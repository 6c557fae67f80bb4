//! Who counts the requests.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

/// What became of a request to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallOutcome {
    /// It was answered.
    Ok,
    /// It was answered with an error of the node or of a contract.
    Refused,
    /// The endpoint has enough of us for now: 429, or words to that effect.
    Limited,
    /// No answer, or one that is none.
    Failed,
    /// Nobody waited any more: another endpoint was faster.
    Dropped,
}

/// Counts each request to an endpoint once it is over.
pub trait Recorder: fmt::Debug + Send + Sync {
    /// A request to `endpoint`, which is its label, ended so and took this long.
    fn record(&self, endpoint: &str, outcome: CallOutcome, took: Duration);
}

/// Counts nothing.
#[derive(Debug)]
pub(crate) struct NoopRecorder;

impl Recorder for NoopRecorder {
    fn record(&self, _: &str, _: CallOutcome, _: Duration) {}
}

/// A request that is under way; it is counted when this is dropped.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    recorder: &'a Arc<dyn Recorder>,
    endpoint: &'a str,
    since: Instant,
    outcome: CallOutcome,
}

impl<'a> Call<'a> {
    pub(crate) fn begin(recorder: &'a Arc<dyn Recorder>, endpoint: &'a str) -> Self {
        Self { recorder, endpoint, since: Instant::now(), outcome: CallOutcome::Dropped }
    }

    pub(crate) fn ended(mut self, outcome: CallOutcome) {
        self.outcome = outcome;
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.recorder.record(self.endpoint, self.outcome, self.since.elapsed());
    }
}
