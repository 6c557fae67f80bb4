//! Prometheus metrics: every name in one place.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use alloy::primitives::U256;
use hawser_crds::GpuOffer;
use jiff::Timestamp;
use kube::ResourceExt;
use prometheus_client::encoding::{EncodeLabelSet, text::encode};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::network::{ActKey, Observed, Token};
use crate::settlement::Pending;

/// A resource's kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

/// A network's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NetworkName {
    network: String,
}

/// What was done on chain, and how it came out.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ActLabels {
    network: String,
    act: &'static str,
    result: &'static str,
}

/// A token of a network, by its symbol.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TokenLabels {
    network: String,
    token: String,
}

/// An offer, and the token that it is paid in, by its symbol.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfferLabels {
    network: String,
    namespace: String,
    offer: String,
    token: String,
}

type Number = Gauge<i64, AtomicI64>;
type Decimal = Gauge<f64, AtomicU64>;

/// The operator's metrics. Clones are the same metrics.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    reconciles: Family<Kind, Counter>,
    errors: Family<Kind, Counter>,
    watch_errors: Family<Kind, Counter>,
    orders: Family<NetworkName, Counter>,
    acts: Family<ActLabels, Counter>,
    accepted: Counter,
    rejected: Counter,
    connected: Family<NetworkName, Number>,
    head: Family<NetworkName, Number>,
    head_age: Family<NetworkName, Decimal>,
    balance: Family<NetworkName, Decimal>,
    gas_spent: Family<NetworkName, Decimal>,
    pending: Family<TokenLabels, Decimal>,
    pending_lost_at: Family<TokenLabels, Number>,
    credit: Family<TokenLabels, Decimal>,
    withdrawn: Family<TokenLabels, Decimal>,
    offer_pending: Family<OfferLabels, Decimal>,
    offer_claimed: Family<OfferLabels, Decimal>,
    /// The labels under which each offer stands, by namespace and name.
    offers: Arc<Mutex<HashMap<(String, String), OfferLabels>>>,
    leading: Number,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("hawser");
        let reconciles = Family::default();
        registry.register("reconciles", "Reconciles of resources", reconciles.clone());
        let errors = Family::default();
        registry.register("reconcile_errors", "Reconciles that stopped half way and are tried again", errors.clone());
        let watch_errors = Family::default();
        registry.register("watch_errors", "Failures of watches of resources, which go on", watch_errors.clone());
        let orders = Family::default();
        registry.register("orders", "Orders taken from the chain", orders.clone());
        let acts = Family::default();
        registry.register("acts", "Acts on chain that are mined, or that the market refused", acts.clone());
        let accepted = Counter::default();
        registry.register(
            "vouchers_accepted",
            "Vouchers accepted, as far as written to the jobs' status",
            accepted.clone(),
        );
        let rejected = Counter::default();
        registry.register(
            "vouchers_rejected",
            "Vouchers refused, as far as written to the jobs' status",
            rejected.clone(),
        );
        let connected = Family::default();
        registry.register("network_connected", "1 where the network can be seen", connected.clone());
        let head = Family::default();
        registry.register("network_head_block", "Newest block", head.clone());
        let head_age = Family::default();
        registry.register("network_head_age_seconds", "Age of the newest block", head_age.clone());
        let balance = Family::default();
        registry.register("wallet_balance", "Coins of the operator's wallet, in whole coins", balance.clone());
        let gas_spent = Family::default();
        registry.register(
            "gas_spent",
            "Coins that the operator's wallet has paid for gas, in whole coins",
            gas_spent.clone(),
        );
        let pending = Family::default();
        registry.register(
            "pending_tokens",
            "Whole tokens attested and not claimed yet: what is at risk",
            pending.clone(),
        );
        let pending_lost_at = Family::default();
        registry.register(
            "pending_lost_at_seconds",
            "Unix second at which the first of the pending tokens is lost if it is not claimed; 0: nothing is pending",
            pending_lost_at.clone(),
        );
        let credit = Family::default();
        registry.register("credit_tokens", "Whole tokens claimed and not withdrawn", credit.clone());
        let withdrawn = Family::default();
        registry.register("withdrawn_tokens", "Whole tokens sent to the payout address", withdrawn.clone());
        let offer_pending = Family::default();
        registry.register(
            "offer_pending_tokens",
            "Whole tokens attested for the offer's jobs and not claimed yet",
            offer_pending.clone(),
        );
        let offer_claimed = Family::default();
        registry.register(
            "offer_claimed_tokens",
            "Whole tokens claimed for the offer's jobs under its present terms, the market's fee included",
            offer_claimed.clone(),
        );
        let leading = Gauge::default();
        registry.register("leading", "1 while this replica holds the lease", leading.clone());
        Self {
            registry: Arc::new(registry),
            reconciles,
            errors,
            watch_errors,
            orders,
            acts,
            accepted,
            rejected,
            connected,
            head,
            head_age,
            balance,
            gas_spent,
            pending,
            pending_lost_at,
            credit,
            withdrawn,
            offer_pending,
            offer_claimed,
            offers: Arc::default(),
            leading,
        }
    }
}

impl Metrics {
    /// Reconciles of a kind.
    pub fn reconciles(&self, kind: &'static str) -> Counter {
        self.reconciles.get_or_create(&Kind { kind }).clone()
    }

    /// Failed reconciles of a kind.
    pub fn errors(&self, kind: &'static str) -> Counter {
        self.errors.get_or_create(&Kind { kind }).clone()
    }

    /// Failed watches of a kind.
    pub fn watch_errors(&self, kind: &'static str) -> Counter {
        self.watch_errors.get_or_create(&Kind { kind }).clone()
    }

    /// Orders taken from a network.
    pub fn orders(&self, network: &str) -> Counter {
        self.orders.get_or_create(&NetworkName { network: network.to_owned() }).clone()
    }

    /// Vouchers accepted and refused since the last look.
    pub fn vouchers(&self, accepted: u64, rejected: u64) {
        self.accepted.inc_by(accepted);
        self.rejected.inc_by(rejected);
    }

    /// An act that is over.
    pub fn act(&self, network: &str, key: &ActKey, mined: bool) {
        let act = match key {
            ActKey::Offer(_) => "offer",
            ActKey::Decline(_) => "decline",
            ActKey::Start(_) => "start",
            ActKey::Claim(_) => "claim",
            ActKey::End(_) => "end",
            ActKey::Refund(_) => "refund",
            ActKey::Withdraw(_) => "withdraw",
        };
        let result = if mined { "mined" } else { "refused" };
        self.acts.get_or_create(&ActLabels { network: network.to_owned(), act, result }).inc();
    }

    /// What was last seen of a network.
    pub fn network(&self, name: &str, observed: &Observed, now: Timestamp) {
        let label = NetworkName { network: name.to_owned() };
        self.connected.get_or_create(&label).set(i64::from(observed.connection.is_connected()));
        if let Some(head) = observed.head {
            self.head.get_or_create(&label).set(i64::try_from(head.block.number).unwrap_or(i64::MAX));
            self.head_age.get_or_create(&label).set(now.duration_since(head.time).as_secs_f64());
        }
        if let Some(balance) = observed.balance {
            self.balance.get_or_create(&label).set(f64::from(balance) / 1e18);
        }
        self.gas_spent.get_or_create(&label).set(f64::from(observed.gas_spent) / 1e18);
    }

    /// What was earned in a token.
    pub(crate) fn earnings(&self, network: &str, token: &Token, pending: Pending, credit: U256, withdrawn: U256) {
        let label = TokenLabels { network: network.to_owned(), token: token.symbol.clone() };
        self.pending.get_or_create(&label).set(whole(pending.units, token));
        self.pending_lost_at.get_or_create(&label).set(pending.lost_at.map_or(0, Timestamp::as_second));
        self.credit.get_or_create(&label).set(whole(credit, token));
        self.withdrawn.get_or_create(&label).set(whole(withdrawn, token));
    }

    /// What the jobs of an offer were attested, and what was claimed for them. There is no such metric of a job: jobs come
    /// and go without end, and each would be a series that stays.
    pub(crate) fn offer(&self, offer: &GpuOffer, token: &Token, pending: Pending, claimed: U256) {
        let (namespace, name) = (offer.namespace().unwrap_or_default(), offer.name_any());
        let label = OfferLabels {
            network: offer.spec.network_ref.clone(),
            namespace: namespace.clone(),
            offer: name.clone(),
            token: token.symbol.clone(),
        };
        let before = self.offers().insert((namespace, name), label.clone());
        if let Some(before) = before.filter(|before| *before != label) {
            self.remove(&before);
        }
        self.offer_pending.get_or_create(&label).set(whole(pending.units, token));
        self.offer_claimed.get_or_create(&label).set(whole(claimed, token));
    }

    /// The offer is gone.
    pub(crate) fn forget_offer(&self, offer: &GpuOffer) {
        if let Some(label) = self.offers().remove(&(offer.namespace().unwrap_or_default(), offer.name_any())) {
            self.remove(&label);
        }
    }

    fn remove(&self, offer: &OfferLabels) {
        self.offer_pending.remove(offer);
        self.offer_claimed.remove(offer);
    }

    fn offers(&self) -> MutexGuard<'_, HashMap<(String, String), OfferLabels>> {
        self.offers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this replica leads.
    pub fn leading(&self, leads: bool) {
        self.leading.set(i64::from(leads));
    }

    /// In the `OpenMetrics` text format.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a String does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

fn whole(units: U256, token: &Token) -> f64 {
    f64::from(units) / 10_f64.powi(i32::from(token.decimals))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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
    fn an_offers_money_is_told_until_the_offer_goes() {
        let metrics = Metrics::default();
        let mut offer: GpuOffer = serde_json::from_value(json!({
            "apiVersion": "hawser.dev/v1alpha1", "kind": "GpuOffer", "metadata": {"name": "h100", "namespace": "t"},
            "spec": {"networkRef": "base", "gpu": {"product": "p"}, "price": {"perGpuHour": "1", "token": "0x"}}
        }))
        .unwrap();
        let token = Token { decimals: 6, symbol: "tUSD".to_owned() };
        let pending = Pending { units: U256::from(1_500_000), lost_at: None };
        metrics.offer(&offer, &token, pending, U256::from(20_250_000));
        let labels = "{network=\"base\",namespace=\"t\",offer=\"h100\",token=\"tUSD\"}";
        let text = metrics.text();
        for line in ["hawser_offer_pending_tokens@ 1.5", "hawser_offer_claimed_tokens@ 20.25"] {
            assert!(text.lines().any(|has| has == line.replace('@', labels)), "{line}: {text}");
        }
        offer.spec.network_ref = "other".to_owned();
        metrics.offer(&offer, &token, pending, U256::ZERO);
        let text = metrics.text();
        assert!(text.contains("network=\"other\"") && !text.contains(labels), "under its new labels alone: {text}");
        metrics.forget_offer(&offer);
        assert!(!metrics.text().contains("h100"), "{}", metrics.text());
    }
}
