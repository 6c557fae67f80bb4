//! Prometheus metrics, by what they are about. `docs/reference/metrics.md` has all of them.

mod book;
mod conditions;
mod labels;
mod looks;
mod money;
mod network;
mod process;
#[cfg(test)]
mod reference;
mod rpc;
mod server;

use std::fmt::{self, Debug};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use crate::attestation::Measures;
use crate::network::Units;
use book::Book;
pub use looks::Timed;
pub use rpc::RpcCalls;
pub use server::{ServerCalls, ServerOutcome};

/// The operator's metrics. Clones are the same metrics.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    looks: looks::Looks,
    networks: network::Networks,
    rpc: rpc::Rpc,
    money: money::Money,
    conditions: conditions::Conditions,
    offers: conditions::Offers,
    server: ServerCalls,
    process: process::Process,
    /// What the attestation service counts.
    pub attestation: Measures,
    counts: Counts,
}

/// Objects as the caches hold them.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    /// Jobs in each phase.
    pub phases: Vec<(&'static str, usize)>,
    /// Objects of each kind that can't be read.
    pub unreadable: [(&'static str, usize); 3],
}

type Count = Box<dyn Fn() -> Counted + Send + Sync>;

/// What is counted when somebody asks.
#[derive(Clone, Default)]
struct Counts(Arc<Mutex<Option<Count>>>);

impl Debug for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counts").finish_non_exhaustive()
    }
}

impl Counts {
    fn objects(&self) -> MutexGuard<'_, Option<Count>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut book = Book::new();
        let attestation = Measures::default();
        attestation.register(&mut book.0);
        Self {
            looks: looks::Looks::new(&mut book),
            networks: network::Networks::new(&mut book),
            rpc: rpc::Rpc::new(&mut book),
            money: money::Money::new(&mut book),
            conditions: conditions::Conditions::new(&mut book),
            offers: conditions::Offers::new(&mut book),
            server: ServerCalls::new(&mut book),
            process: process::Process::new(&mut book),
            attestation,
            counts: Counts::default(),
            registry: Arc::new(book.0),
        }
    }
}

impl Metrics {
    /// Where requests to the API server are counted.
    pub fn server_calls(&self) -> ServerCalls {
        self.server.clone()
    }

    /// Jobs in each phase are counted so from now on, whenever somebody asks.
    pub(crate) fn count_by(&self, count: impl Fn() -> Counted + Send + Sync + 'static) {
        *self.counts.objects() = Some(Box::new(count));
    }

    /// In the `OpenMetrics` text format.
    pub fn text(&self) -> String {
        self.server.refresh(Instant::now());
        if let Some(count) = self.counts.objects().as_ref() {
            self.looks.objects(&count());
        }
        self.encoded()
    }

    fn encoded(&self) -> String {
        let mut text = String::new();
        // Writing into a String does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

/// Whole tokens or coins.
fn whole(units: Units, decimals: u8) -> f64 {
    f64::from(units) / 10_f64.powi(i32::from(decimals))
}

#[cfg(test)]
mod tests {
    use hawser_crds::GpuOffer;
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::network::{Backlog, NetworkStatus, Token};
    use crate::settlement::Unclaimed;

    #[test]
    fn metrics_carry_the_prefix_and_their_labels() {
        let metrics = Metrics::default();
        metrics.reconciles("GpuOffer").inc();
        metrics.orders("base").inc();
        let text = metrics.text();
        assert!(text.contains("hawser_reconciles_total{kind=\"GpuOffer\"} 1"), "{text}");
        assert!(text.contains("hawser_orders_total{network=\"base\"} 1"), "{text}");
    }

    #[test]
    fn a_network_that_does_not_run_has_no_numbers() {
        let metrics = Metrics::default();
        let observed = NetworkStatus { head: None, unread: None, ..reference::observed() };
        let backlog = Backlog { queued: 2, sent: 1, ..Backlog::default() };
        let token = Token { id: "0x".into(), symbol: "tUSD".to_owned(), decimals: 6 };
        let one = Units::from(1);
        for name in ["one", "two"] {
            metrics.network(name, &observed, &backlog, Timestamp::UNIX_EPOCH);
            metrics.earnings(name, &token, Unclaimed::default(), one, one);
        }
        let text = metrics.text();
        assert!(text.contains("hawser_actions_queued{network=\"one\"} 3"), "{text}");
        assert!(text.contains("hawser_clock_skew_seconds{network=\"one\"} 3"), "{text}");
        metrics.forget_network("one");
        let text = metrics.text();
        assert!(!text.contains("\"one\"") && text.contains("hawser_network_connected{network=\"two\"} 1"), "{text}");
    }

    #[test]
    fn an_offers_money_is_told_until_the_offer_goes() {
        let metrics = Metrics::default();
        let mut offer: GpuOffer = serde_json::from_value(json!({
            "apiVersion": "hawser.dev/v1alpha1", "kind": "GpuOffer", "metadata": {"name": "h100", "namespace": "t"},
            "spec": {"networkRef": "base", "gpu": {"product": "p"}, "price": {"perGpuHour": "1", "token": "0x"}}
        }))
        .unwrap();
        let token = Token { id: "0x".into(), symbol: "tUSD".to_owned(), decimals: 6 };
        let pending = Unclaimed { units: Units::from(1_500_000), lost_at: None };
        metrics.offer(&offer, &token, pending, Units::from(20_250_000));
        let labels = "{network=\"base\",namespace=\"t\",offer=\"h100\",token=\"0x\"}";
        let text = metrics.text();
        for line in ["hawser_offer_pending_tokens@ 1.5", "hawser_offer_claimed_tokens@ 20.25"] {
            assert!(text.lines().any(|has| has == line.replace('@', labels)), "{line}: {text}");
        }
        offer.spec.network_ref = "other".to_owned();
        metrics.offer(&offer, &token, pending, Units::ZERO);
        let text = metrics.text();
        assert!(text.contains("network=\"other\"") && !text.contains(labels), "under its new labels alone: {text}");
        metrics.forget_offer("t", "h100");
        assert!(!metrics.text().contains("h100"), "{}", metrics.text());
    }

    #[test]
    fn two_tokens_of_one_symbol_are_two_series_and_a_symbol_that_was_not_read_takes_no_name_away() {
        let metrics = Metrics::default();
        let (a, b) = ("0x01", "0x02");
        let token = |id: &str, symbol: &str| Token { id: id.into(), symbol: symbol.to_owned(), decimals: 0 };
        let pending =
            |second| Unclaimed { units: Units::from(9), lost_at: Some(Timestamp::from_second(second).unwrap()) };
        metrics.earnings("n", &token(a, "USDC"), pending(9_000), Units::ZERO, Units::ZERO);
        metrics.earnings("n", &token(b, ""), Unclaimed::default(), Units::ZERO, Units::ZERO);
        metrics.earnings("n", &token(b, "USDC"), Unclaimed::default(), Units::ZERO, Units::ZERO);
        metrics.earnings("n", &token(b, ""), Unclaimed::default(), Units::ZERO, Units::ZERO);
        let text = metrics.text();
        let series = |name: &str| text.lines().filter(|line| line.starts_with(&format!("{name}{{"))).count();
        let of = |token: &str, more: &str| format!("{{network=\"n\",token=\"{token}\"{more}}}");
        let at_risk = format!("hawser_pending_lost_at_seconds{} 9000", of(a, ""));
        assert!(text.lines().any(|line| line == at_risk), "{text}");
        assert_eq!((series("hawser_pending_lost_at_seconds"), series("hawser_token_info")), (2, 2), "{text}");
        assert!(text.contains(&format!("hawser_token_info{} 1", of(b, ",symbol=\"USDC\""))), "{text}");
        metrics.forget_network("n");
        assert!(!metrics.text().contains("network=\"n\""), "{}", metrics.text());
    }

    #[test]
    fn a_network_that_does_not_run_is_not_connected() {
        let metrics = Metrics::default();
        metrics.network_away("n");
        assert!(metrics.text().contains("hawser_network_connected{network=\"n\"} 0"), "{}", metrics.text());
    }
}
