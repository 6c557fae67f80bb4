//! Prometheus metrics, by what they are about. `docs/reference/metrics.md` has all of them.

mod book;
mod labels;
mod looks;
mod money;
mod network;
mod process;
#[cfg(test)]
mod reference;
mod rpc;
mod said;
mod server;

use std::fmt::{self, Debug};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use crate::attestation::Measures;
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
    conditions: said::Conditions,
    offers: said::Offers,
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
            conditions: said::Conditions::new(&mut book),
            offers: said::Offers::new(&mut book),
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

#[cfg(test)]
mod tests {
    use alloy::primitives::{Address, U256};
    use hawser_crds::GpuOffer;
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::network::{Backlog, NetworkStatus, Token};
    use crate::settlement::Pending;

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
        let observed = NetworkStatus {
            connection: crate::network::Connection::Connected { endpoint: String::new() },
            chain_id: None,
            head: None,
            wallet: alloy::primitives::Address::ZERO,
            balance: Some(U256::ONE),
            signer_trouble: None,
            gas_spent: U256::ZERO,
            orders_trouble: None,
            cursor: None,
            doubtful: std::collections::BTreeSet::new(),
            withdrawn: crate::network::Withdrawn::default(),
            unread: None,
            confirmation_lag: None,
            block_time: None,
            clock_skew: Some(3),
            fee_obstacle: None,
        };
        let backlog = Backlog { queued: 2, sent: 1, ..Backlog::default() };
        let token = Token { address: Address::ZERO, symbol: "tUSD".to_owned(), decimals: 6 };
        for name in ["one", "two"] {
            metrics.network(name, &observed, &backlog, Timestamp::UNIX_EPOCH);
            metrics.earnings(
                name,
                (alloy::primitives::Address::ZERO, &token),
                Pending::default(),
                U256::ONE,
                U256::ONE,
            );
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
        let token = Token { address: Address::ZERO, symbol: "tUSD".to_owned(), decimals: 6 };
        let pending = Pending { units: U256::from(1_500_000), lost_at: None };
        metrics.offer(&offer, &token, pending, U256::from(20_250_000));
        let labels = "{network=\"base\",namespace=\"t\",offer=\"h100\",token=\"0x\"}";
        let text = metrics.text();
        for line in ["hawser_offer_pending_tokens@ 1.5", "hawser_offer_claimed_tokens@ 20.25"] {
            assert!(text.lines().any(|has| has == line.replace('@', labels)), "{line}: {text}");
        }
        offer.spec.network_ref = "other".to_owned();
        metrics.offer(&offer, &token, pending, U256::ZERO);
        let text = metrics.text();
        assert!(text.contains("network=\"other\"") && !text.contains(labels), "under its new labels alone: {text}");
        metrics.forget_offer("t", "h100");
        assert!(!metrics.text().contains("h100"), "{}", metrics.text());
    }

    #[test]
    fn two_tokens_of_one_symbol_are_two_series_and_a_symbol_that_was_not_read_takes_no_name_away() {
        let metrics = Metrics::default();
        let [a, b] = [1, 2].map(Address::repeat_byte);
        let token = |symbol: &str| Token { address: Address::ZERO, symbol: symbol.to_owned(), decimals: 0 };
        let pending = |second| Pending { units: U256::from(9), lost_at: Some(Timestamp::from_second(second).unwrap()) };
        metrics.earnings("n", (a, &token("USDC")), pending(9_000), U256::ZERO, U256::ZERO);
        metrics.earnings("n", (b, &token("")), Pending::default(), U256::ZERO, U256::ZERO);
        metrics.earnings("n", (b, &token("USDC")), Pending::default(), U256::ZERO, U256::ZERO);
        metrics.earnings("n", (b, &token("")), Pending::default(), U256::ZERO, U256::ZERO);
        let text = metrics.text();
        let series = |name: &str| text.lines().filter(|line| line.starts_with(&format!("{name}{{"))).count();
        let of =
            |address: Address, more: &str| format!("{{network=\"n\",token=\"{}\"{more}}}", address.to_checksum(None));
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
