//! How requests to the endpoints of a network are counted. Whoever shows the numbers implements it; a network only reports.

use std::{fmt, time::Duration};

/// What became of a request to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestOutcome {
    /// It was answered.
    Ok,
    /// The endpoint says no: asking it again changes nothing.
    Refused,
    /// The endpoint has enough of us for now.
    Limited,
    /// No answer came, or none that can be read.
    Failed,
    /// Nobody waits for the answer any more.
    Dropped,
}

/// Counts the requests to the endpoints of one network.
pub trait RequestCounter: fmt::Debug + Send + Sync {
    /// A request to `endpoint` has come to an end after so long.
    fn count(&self, endpoint: &str, outcome: RequestOutcome, took: Duration);
}

/// Counts nothing.
#[derive(Clone, Copy, Debug)]
pub struct Uncounted;

impl RequestCounter for Uncounted {
    fn count(&self, _: &str, _: RequestOutcome, _: Duration) {}
}
