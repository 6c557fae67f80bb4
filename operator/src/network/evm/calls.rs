//! Counts the EVM client's requests among the operator's metrics.

use std::time::Duration;

use hawser_evm::{Outcome, Recorder};

use crate::metrics::{RpcCalls, RpcOutcome};

impl Recorder for RpcCalls {
    fn record(&self, endpoint: &str, outcome: Outcome, took: Duration) {
        let outcome = match outcome {
            Outcome::Ok => RpcOutcome::Ok,
            Outcome::Refused => RpcOutcome::Refused,
            Outcome::Limited => RpcOutcome::Limited,
            Outcome::Failed => RpcOutcome::Failed,
            Outcome::Dropped => RpcOutcome::Dropped,
        };
        self.made(endpoint, outcome, took);
    }
}
