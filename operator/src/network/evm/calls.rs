//! Counts the EVM client's requests as those of any network.

use std::{sync::Arc, time::Duration};

use hawser_evm::{Outcome, Recorder};

use crate::network::{RequestCounter, RequestOutcome};

/// Passes the client's requests on to whoever counts a network's.
#[derive(Debug)]
pub(super) struct CountRequests(pub(super) Arc<dyn RequestCounter>);

impl Recorder for CountRequests {
    fn record(&self, endpoint: &str, outcome: Outcome, took: Duration) {
        let outcome = match outcome {
            Outcome::Ok => RequestOutcome::Ok,
            Outcome::Refused => RequestOutcome::Refused,
            Outcome::Limited => RequestOutcome::Limited,
            Outcome::Failed => RequestOutcome::Failed,
            Outcome::Dropped => RequestOutcome::Dropped,
        };
        self.0.count(endpoint, outcome, took);
    }
}
