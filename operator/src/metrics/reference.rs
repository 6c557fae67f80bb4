//! `docs/reference/metrics.md` has every metric, its type and its labels, and nothing else.
//!
//! `HAWSER_WRITE_DOCS=1 cargo test -p hawser-operator metrics_that_there_are` writes the page's table anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;

use hawser_crds::{GpuOffer, GpuOfferStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use serde_json::json;

use super::{Counted, Metrics, ServerOutcome};
use crate::network::{
    ActionKey, Advice, Backlog, Connection, Head, NetworkStatus, RequestCounter, RequestOutcome, Token, Units,
};
use crate::settlement::Unclaimed;

/// With something of everything.
fn filled() -> Metrics {
    let metrics = Metrics::default();
    metrics.reconciles("GpuOffer").inc();
    drop(metrics.timed("GpuOffer"));
    metrics.errors("GpuOffer").inc();
    metrics.watch_errors("GpuOffer").inc();
    metrics.abandoned("GpuOffer").inc();
    metrics.count_by(|| Counted { phases: vec![("Running", 1)], unreadable: [("GpuOffer", 1); 3] });
    metrics.order_runs("base", 6.0);
    metrics.orders("base").inc();
    metrics.action("base", &ActionKey::Start("job".into()), true);
    metrics.network("base", &observed(), &Backlog::default(), Timestamp::UNIX_EPOCH);
    let token = Token { id: "0x".into(), symbol: "USDC".to_owned(), decimals: 6 };
    metrics.earnings("base", &token, Unclaimed::default(), Units::from(1), Units::from(1));
    let offer: GpuOffer = serde_json::from_value(json!({
        "apiVersion": "hawser.dev/v1alpha1", "kind": "GpuOffer", "metadata": {"name": "h100", "namespace": "t"},
        "spec": {"networkRef": "base", "gpu": {"product": "p"}, "price": {"perGpuHour": "1", "token": "0x"}}
    }))
    .unwrap();
    metrics.offer(&offer, &token, Unclaimed::default(), Units::from(1));
    let ready = Condition {
        type_: "Ready".to_owned(),
        status: "True".to_owned(),
        reason: "Ready".to_owned(),
        message: String::new(),
        observed_generation: None,
        last_transition_time: Time(Timestamp::UNIX_EPOCH),
    };
    metrics.record_offer(&offer, &GpuOfferStatus { conditions: vec![ready], ..GpuOfferStatus::default() });
    metrics.server_calls().made("GET", ServerOutcome::Ok, Duration::from_millis(5));
    metrics.server_calls().heard("/api/v1/pods");
    metrics.rpc_calls("base").count("https://a", RequestOutcome::Ok, Duration::from_millis(5));
    metrics.attestation.fill();
    metrics
}

/// Of a network that was seen.
pub(super) fn observed() -> NetworkStatus {
    NetworkStatus {
        connection: Connection::Connected { endpoint: String::new() },
        identity: String::new(),
        advice: Advice::default(),
        head: Some(Head { height: 1, time: Timestamp::UNIX_EPOCH }),
        time: None,
        time_now: None,
        wallet: "0x".into(),
        balance: Some(Units::from(1)),
        least_balance: Units::ZERO,
        coin_decimals: 18,
        fees_paid: Units::ZERO,
        signer_trouble: None,
        orders_trouble: None,
        cursor: None,
        withdrawn: BTreeMap::new(),
        unread: Some(0),
        catching_up: None,
        confirmation_lag: None,
        clock_in_sync: Some(true),
        clock_skew: Some(3),
        fee_obstacle: None,
    }
}

#[derive(Debug, Default)]
struct Shown {
    kind: String,
    help: String,
    labels: BTreeSet<String>,
}

/// What the text format says of each metric, by the name that a query has.
fn shown(text: &str) -> BTreeMap<String, Shown> {
    let (mut all, mut present) = (BTreeMap::new(), (String::new(), String::new()));
    for line in text.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("HELP"), Some(name), Some(help)) => {
                present = (name.to_owned(), help.trim_end_matches('.').to_owned());
            }
            (Some("#"), Some("TYPE"), Some(_), Some(kind)) => {
                let suffix = if kind == "counter" { "_total" } else { "" };
                let name = format!("{}{suffix}", present.0);
                all.insert(name.clone(), Shown { kind: kind.to_owned(), help: present.1.clone(), ..Shown::default() });
                present.0 = name;
            }
            (Some(series), ..) if series.starts_with("hawser_") => {
                let Some((_, labels)) = line.split_once('{') else { continue };
                let labels = labels.split(['{', ',']).filter_map(|label| label.split_once("=\"")).map(|(name, _)| name);
                let labels = labels.filter(|name| *name != "le").map(str::to_owned);
                all.get_mut(&present.0).unwrap().labels.extend(labels);
            }
            _ => {}
        }
    }
    all
}

fn table(all: &BTreeMap<String, Shown>) -> String {
    let mut table = "| metric | type | labels | what it says |\n|---|---|---|---|\n".to_owned();
    for (name, Shown { kind, help, labels }) in all {
        let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
        writeln!(table, "| `{name}` | {kind} | {} | {help} |", labels.join(", ")).unwrap();
    }
    table
}

#[test]
fn the_reference_has_the_metrics_that_there_are_with_their_types_and_labels() {
    hawser_pages::assert_table("reference/metrics.md", "table", &table(&shown(&filled().text())));
}

#[test]
fn the_reference_leaves_no_registered_metric_out() {
    // A family without a member is not shown; the registry itself knows it.
    let registered = format!("{:?}", Metrics::default().registry);
    let names: BTreeSet<&str> =
        registered.split("name: \"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(names.len() > 40, "{names:?}");
    let shown = shown(&filled().text());
    for name in names {
        let known = |suffix: &str| shown.contains_key(&format!("hawser_{name}{suffix}"));
        assert!(known("") || known("_total"), "{name} is not filled in here, and so not in the reference");
    }
}

#[test]
fn names_say_their_base_units() {
    for (name, Shown { kind, .. }) in shown(&filled().text()) {
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name}");
        assert!(kind != "histogram" || name.ends_with("_seconds"), "{name}");
        for other in ["_ms", "_milliseconds", "_minutes", "_kb", "_percent"] {
            assert!(!name.contains(other), "{name}");
        }
    }
}
