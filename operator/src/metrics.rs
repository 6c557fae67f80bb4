//! Prometheus metrics: every name in one place.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use alloy::primitives::{Address, U256};
use hawser_crds::GpuOffer;
use jiff::Timestamp;
use kube::ResourceExt;
use prometheus_client::encoding::{EncodeLabelSet, text::encode};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Metric, Registry};

use crate::attestation::Measures;
use crate::network::{ActKey, Backlog, Observed, Token};
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

/// A token of a network, by its address: symbols are whatever a contract says, and two can say the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TokenLabels {
    network: String,
    token: String,
}

/// What people call a token.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TokenInfo {
    network: String,
    token: String,
    symbol: String,
}

/// An offer, and the token that it is paid in, by its address.
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
    token_info: Family<TokenInfo, Number>,
    /// The symbol under which each token stands, by network and address.
    symbols: Arc<Mutex<HashMap<(String, String), String>>>,
    unreadable: Family<Kind, Number>,
    abandoned: Family<Kind, Counter>,
    offer_pending: Family<OfferLabels, Decimal>,
    offer_claimed: Family<OfferLabels, Decimal>,
    /// What the attestation service counts.
    pub attestation: Measures,
    /// The labels under which each offer stands, by namespace and name.
    offers: Arc<Mutex<HashMap<(String, String), OfferLabels>>>,
    leading: Number,
    outdated: Number,
    clock_skew: Family<NetworkName, Decimal>,
    acts_queued: Family<NetworkName, Number>,
    acts_oldest: Family<NetworkName, Decimal>,
}

impl Default for Metrics {
    #[expect(clippy::too_many_lines, reason = "every name in one place")]
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
        let credit = registered(&mut registry, "credit_tokens", "Whole tokens claimed and not withdrawn");
        let withdrawn = registered(&mut registry, "withdrawn_tokens", "Whole tokens sent to the payout address");
        let token_info =
            registered(&mut registry, "token_info", "1 for each token, with the symbol that its contract gives");
        let unreadable = registered(
            &mut registry,
            "unreadable_objects",
            "Objects that this operator can't read: see their condition Readable",
        );
        let abandoned = registered(&mut registry, "abandoned", "Objects let go by the annotation hawser.dev/abandon");
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
        let leading = registered(&mut registry, "leading", "1 while this replica holds the lease");
        let outdated = registered(
            &mut registry,
            "definitions_outdated",
            "1 while this replica waits for newer custom resource definitions",
        );
        let attestation = Measures::default();
        attestation.register(&mut registry);
        let clock_skew = registered(
            &mut registry,
            "clock_skew_seconds",
            "Seconds by which the operator's clock was ahead of the newest block's time when it came",
        );
        let acts_queued = registered(&mut registry, "acts_queued", "Acts that are to be sent or mined");
        let acts_oldest =
            registered(&mut registry, "acts_oldest_seconds", "Age of the oldest act that is to be sent or mined");
        Self {
            attestation,
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
            token_info,
            symbols: Arc::default(),
            unreadable,
            abandoned,
            offer_pending,
            offer_claimed,
            offers: Arc::default(),
            leading,
            outdated,
            clock_skew,
            acts_queued,
            acts_oldest,
        }
    }
}

fn registered<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
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
    pub fn network(&self, name: &str, observed: &Observed, backlog: &Backlog, now: Timestamp) {
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
        if let Some(skew) = observed.clock_skew.and_then(|skew| i32::try_from(skew).ok()) {
            self.clock_skew.get_or_create(&label).set(f64::from(skew));
        }
        let waiting = i64::try_from(backlog.queued + backlog.sent).unwrap_or(i64::MAX);
        self.acts_queued.get_or_create(&label).set(waiting);
        self.acts_oldest.get_or_create(&label).set(backlog.oldest.as_secs_f64());
    }

    /// A network that does not run is not connected, and what was last seen of it says nothing any more.
    pub(crate) fn network_away(&self, name: &str) {
        self.forget_network(name);
        self.connected.get_or_create(&NetworkName { network: name.to_owned() }).set(0);
    }

    /// The network is gone, and with it what was said of it.
    pub(crate) fn forget_network(&self, name: &str) {
        let label = NetworkName { network: name.to_owned() };
        for numbers in [&self.connected, &self.head, &self.acts_queued] {
            numbers.remove(&label);
        }
        for decimals in [&self.head_age, &self.balance, &self.gas_spent, &self.clock_skew, &self.acts_oldest] {
            decimals.remove(&label);
        }
        let mut symbols = self.symbols();
        let gone: Vec<_> = symbols.extract_if(|(network, _), _| network == name).collect();
        for ((network, token), symbol) in gone {
            let label = TokenLabels { network: network.clone(), token: token.clone() };
            self.pending.remove(&label);
            self.pending_lost_at.remove(&label);
            self.credit.remove(&label);
            self.withdrawn.remove(&label);
            self.token_info.remove(&TokenInfo { network, token, symbol });
        }
    }

    /// What was earned in a token.
    pub(crate) fn earnings(
        &self,
        network: &str,
        (address, token): (Address, &Token),
        pending: Pending,
        credit: U256,
        withdrawn: U256,
    ) {
        let label = TokenLabels { network: network.to_owned(), token: address.to_checksum(None) };
        self.name_token(&label, &token.symbol);
        self.pending.get_or_create(&label).set(whole(pending.units, token));
        self.pending_lost_at.get_or_create(&label).set(pending.lost_at.map_or(0, Timestamp::as_second));
        self.credit.get_or_create(&label).set(whole(credit, token));
        self.withdrawn.get_or_create(&label).set(whole(withdrawn, token));
    }

    /// One name for each token. A symbol that could not be read takes no name away.
    fn name_token(&self, label: &TokenLabels, symbol: &str) {
        let info = |symbol: &str| TokenInfo {
            network: label.network.clone(),
            token: label.token.clone(),
            symbol: symbol.to_owned(),
        };
        let mut symbols = self.symbols();
        let stands = symbols.entry((label.network.clone(), label.token.clone())).or_default();
        if stands.as_str() != symbol && !symbol.is_empty() {
            self.token_info.remove(&info(stands.as_str()));
            symbol.clone_into(stands);
        }
        self.token_info.get_or_create(&info(stands.as_str())).set(1);
    }

    /// Objects of a kind that can't be read.
    pub(crate) fn unreadable(&self, kind: &'static str, count: usize) {
        self.unreadable.get_or_create(&Kind { kind }).set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Objects of a kind that were let go by their annotation.
    pub(crate) fn abandoned(&self, kind: &'static str) -> Counter {
        self.abandoned.get_or_create(&Kind { kind }).clone()
    }

    /// What the jobs of an offer were attested, and what was claimed for them. There is no such metric of a job: jobs come
    /// and go without end, and each would be a series that stays.
    pub(crate) fn offer(&self, offer: &GpuOffer, token: &Token, pending: Pending, claimed: U256) {
        let (namespace, name) = (offer.namespace().unwrap_or_default(), offer.name_any());
        let label = OfferLabels {
            network: offer.spec.network_ref.clone(),
            namespace: namespace.clone(),
            offer: name.clone(),
            token: offer
                .spec
                .price
                .token
                .parse()
                .map_or_else(|_| offer.spec.price.token.clone(), |address: Address| address.to_checksum(None)),
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

    fn symbols(&self) -> MutexGuard<'_, HashMap<(String, String), String>> {
        self.symbols.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this replica leads.
    pub fn leading(&self, leads: bool) {
        self.leading.set(i64::from(leads));
    }

    /// Whether this replica waits for newer custom resource definitions.
    pub fn outdated(&self, waits: bool) {
        self.outdated.set(i64::from(waits));
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
    fn a_network_that_does_not_run_has_no_numbers() {
        let metrics = Metrics::default();
        let observed = Observed {
            connection: crate::network::Connection::Connected { endpoint: String::new() },
            chain_id: None,
            head: None,
            wallet: alloy::primitives::Address::ZERO,
            balance: Some(U256::ONE),
            signer_trouble: None,
            gas_spent: U256::ZERO,
            orders_trouble: None,
            cursor: None,
            withdrawn: crate::network::Withdrawn::default(),
            unread: None,
            confirmation_lag: None,
            block_time: None,
            clock_skew: Some(3),
            fee_obstacle: None,
        };
        let backlog = Backlog { queued: 2, sent: 1, ..Backlog::default() };
        let token = Token { decimals: 6, symbol: "tUSD".to_owned() };
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
        assert!(text.contains("hawser_acts_queued{network=\"one\"} 3"), "{text}");
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
        let token = Token { decimals: 6, symbol: "tUSD".to_owned() };
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
        metrics.forget_offer(&offer);
        assert!(!metrics.text().contains("h100"), "{}", metrics.text());
    }

    #[test]
    fn two_tokens_of_one_symbol_are_two_series_and_a_symbol_that_was_not_read_takes_no_name_away() {
        let metrics = Metrics::default();
        let [a, b] = [1, 2].map(Address::repeat_byte);
        let token = |symbol: &str| Token { decimals: 0, symbol: symbol.to_owned() };
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
