//! How the endpoints of networks answer.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use super::Metrics;
use super::book::{ANSWERS, Book, Durations};
use super::labels::{EndpointLabels, RpcLabels};
use crate::network::{RequestCounter, RequestOutcome};

const OUTCOMES: [RequestOutcome; 5] = [
    RequestOutcome::Ok,
    RequestOutcome::Refused,
    RequestOutcome::Limited,
    RequestOutcome::Failed,
    RequestOutcome::Dropped,
];

const fn label(outcome: RequestOutcome) -> &'static str {
    match outcome {
        RequestOutcome::Ok => "ok",
        RequestOutcome::Refused => "refused",
        RequestOutcome::Limited => "limited",
        RequestOutcome::Failed => "failed",
        RequestOutcome::Dropped => "dropped",
    }
}

#[derive(Clone, Debug)]
pub(super) struct Rpc {
    requests: Family<RpcLabels, Counter>,
    took: Durations<EndpointLabels>,
    asked: Arc<Mutex<HashSet<EndpointLabels>>>,
}

impl Rpc {
    pub(super) fn new(book: &mut Book) -> Self {
        Self {
            requests: book.metric("rpc_requests", "Requests to a network's endpoints, by what became of them"),
            took: book.durations("rpc_request_duration_seconds", "How long answers of an endpoint took", ANSWERS),
            asked: Arc::default(),
        }
    }

    pub(super) fn forget(&self, network: &str) {
        for labels in self.asked().extract_if(|labels| labels.network == network) {
            self.took.remove(&labels);
            for outcome in OUTCOMES {
                self.requests.remove(&of(&labels, outcome));
            }
        }
    }

    fn asked(&self) -> MutexGuard<'_, HashSet<EndpointLabels>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn of(labels: &EndpointLabels, outcome: RequestOutcome) -> RpcLabels {
    let EndpointLabels { network, endpoint } = labels.clone();
    RpcLabels { network, endpoint, outcome: label(outcome) }
}

/// Requests to the endpoints of one network. Clones are the same numbers.
#[derive(Clone, Debug)]
pub struct RpcCalls {
    rpc: Rpc,
    network: String,
}

impl RequestCounter for RpcCalls {
    fn count(&self, endpoint: &str, outcome: RequestOutcome, took: Duration) {
        let labels = EndpointLabels { network: self.network.clone(), endpoint: endpoint.to_owned() };
        self.rpc.requests.get_or_create(&of(&labels, outcome)).inc();
        self.rpc.took.get_or_create(&labels).observe(took.as_secs_f64());
        self.rpc.asked().insert(labels);
    }
}

impl Metrics {
    /// Where requests to a network's endpoints are counted.
    pub fn rpc_calls(&self, network: &str) -> RpcCalls {
        RpcCalls { rpc: self.rpc.clone(), network: network.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_what_became_of_them_until_their_network_is_gone() {
        let metrics = Metrics::default();
        let calls = metrics.rpc_calls("base");
        let took = Duration::from_millis(5);
        calls.count("https://a", RequestOutcome::Ok, took);
        calls.count("https://a", RequestOutcome::Limited, took);
        calls.count("https://b", RequestOutcome::Dropped, took);
        metrics.rpc_calls("other").count("https://a", RequestOutcome::Failed, took);
        let text = metrics.text();
        for (endpoint, outcome) in [("https://a", "ok"), ("https://a", "limited"), ("https://b", "dropped")] {
            let line = format!(
                "hawser_rpc_requests_total{{network=\"base\",endpoint=\"{endpoint}\",outcome=\"{outcome}\"}} 1"
            );
            assert!(text.contains(&line), "{line}: {text}");
        }
        metrics.forget_network("base");
        let text = metrics.text();
        assert!(!text.contains("network=\"base\"") && text.contains("network=\"other\""), "{text}");
    }
}
