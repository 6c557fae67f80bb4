//! Counts the EVM client's requests as those of any network.

use std::{sync::Arc, time::Duration};

use hawser_evm::{CallOutcome, Recorder};

use crate::network::{RequestCounter, RequestOutcome};

/// Passes the client's requests on to whoever counts a network's.
#[derive(Debug)]
pub(super) struct CountRequests(pub(super) Arc<dyn RequestCounter>);

impl Recorder for CountRequests {
    fn record(&self, endpoint: &str, outcome: CallOutcome, took: Duration) {
        let outcome = match outcome {
            CallOutcome::Ok => RequestOutcome::Ok,
            CallOutcome::Refused => RequestOutcome::Refused,
            CallOutcome::Limited => RequestOutcome::Limited,
            CallOutcome::Failed => RequestOutcome::Failed,
            CallOutcome::Dropped => RequestOutcome::Dropped,
        };
        self.0.count(endpoint, outcome, took);
    }
}
