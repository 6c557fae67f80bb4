//! What networks and offers say of themselves: their conditions, and an offer's GPUs.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hawser_crds::{GpuOffer, GpuOfferStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use prometheus_client::metrics::family::Family;

use super::Metrics;
use super::book::{Book, Number};
use super::labels::{ConditionLabels, GpuLabels, OfferName};

type Object = (&'static str, String, String);

/// Conditions of objects.
#[derive(Clone, Debug)]
pub(super) struct Conditions {
    gauges: Family<ConditionLabels, Number>,
    /// The conditions that each object has.
    known: Arc<Mutex<HashMap<Object, HashSet<String>>>>,
}

impl Conditions {
    pub(super) fn new(book: &mut Book) -> Self {
        let gauges = book.metric(
            "condition",
            "Conditions of networks and offers: 1 True, 0 False, -1 Unknown; a network's namespace is empty",
        );
        Self { gauges, known: Arc::default() }
    }

    fn record(&self, kind: &'static str, namespace: &str, name: &str, conditions: &[Condition]) {
        let mut known = self.known();
        let before = known.entry((kind, namespace.to_owned(), name.to_owned())).or_default();
        let now: HashSet<String> = conditions.iter().map(|condition| condition.type_.clone()).collect();
        for gone in before.difference(&now) {
            self.gauges.remove(&labels(kind, namespace, name, gone));
        }
        *before = now;
        for condition in conditions {
            let value = match condition.status.as_str() {
                "True" => 1,
                "False" => 0,
                _ => -1,
            };
            self.gauges.get_or_create(&labels(kind, namespace, name, &condition.type_)).set(value);
        }
    }

    pub(super) fn forget(&self, kind: &'static str, namespace: &str, name: &str) {
        let gone = self.known().remove(&(kind, namespace.to_owned(), name.to_owned()));
        for condition in gone.into_iter().flatten() {
            self.gauges.remove(&labels(kind, namespace, name, &condition));
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Object, HashSet<String>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn labels(kind: &'static str, namespace: &str, name: &str, condition: &str) -> ConditionLabels {
    let (namespace, name, condition) = (namespace.to_owned(), name.to_owned(), condition.to_owned());
    ConditionLabels { kind, namespace, name, condition }
}

/// What offers sell.
#[derive(Clone, Debug)]
pub(super) struct Offers {
    gpus: Family<GpuLabels, Number>,
    suspended: Family<OfferName, Number>,
}

const STATES: [&str; 4] = ["total", "healthy", "in_use", "offered"];

impl Offers {
    pub(super) fn new(book: &mut Book) -> Self {
        Self {
            gpus: book.metric(
                "offer_gpus",
                "GPUs that the offer sees, as its status.gpus has them; two offers may see the same ones",
            ),
            suspended: book.metric("offer_suspended", "1 while somebody wants the offer to sell nothing"),
        }
    }
}

impl Metrics {
    /// Records what a network says of itself.
    pub(crate) fn record_network(&self, name: &str, conditions: &[Condition]) {
        self.conditions.record("DepinNetwork", "", name, conditions);
    }

    /// Records what an offer says of itself.
    pub(crate) fn record_offer(&self, offer: &GpuOffer, status: &GpuOfferStatus) {
        let (namespace, offer_name) = (offer.namespace().unwrap_or_default(), offer.name_any());
        self.conditions.record("GpuOffer", &namespace, &offer_name, &status.conditions);
        let gpus = status.gpus.unwrap_or_default();
        let counts = [gpus.total, gpus.healthy, gpus.in_use, gpus.offered];
        for (state, count) in STATES.into_iter().zip(counts) {
            let label = GpuLabels { namespace: namespace.clone(), offer: offer_name.clone(), state };
            self.offers.gpus.get_or_create(&label).set(i64::from(count));
        }
        // One that is being deleted is not meant to sell, either.
        let rests = offer.spec.suspend || offer.metadata.deletion_timestamp.is_some();
        self.offers.suspended.get_or_create(&OfferName { namespace, offer: offer_name }).set(i64::from(rests));
    }

    /// The offer is gone.
    pub(crate) fn forget_offer(&self, namespace: &str, name: &str) {
        self.money.forget_offer(namespace, name);
        self.conditions.forget("GpuOffer", namespace, name);
        let (namespace, offer) = (namespace.to_owned(), name.to_owned());
        for state in STATES {
            self.offers.gpus.remove(&GpuLabels { namespace: namespace.clone(), offer: offer.clone(), state });
        }
        self.offers.suspended.remove(&OfferName { namespace, offer });
    }
}

#[cfg(test)]
mod tests {
    use hawser_crds::GpuCount;
    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use serde_json::json;

    use super::*;

    fn conditions(all: &[(&str, &str)]) -> Vec<Condition> {
        let condition = |(kind, status): &(&str, &str)| Condition {
            type_: (*kind).to_owned(),
            status: (*status).to_owned(),
            reason: "R".to_owned(),
            message: String::new(),
            observed_generation: None,
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
        };
        all.iter().map(condition).collect()
    }

    #[test]
    fn a_condition_is_a_number_until_it_or_its_object_goes() {
        let metrics = Metrics::default();
        let line = |name: &str, condition: &str, value: i64| {
            format!(
                "hawser_condition{{kind=\"DepinNetwork\",namespace=\"\",name=\"{name}\",condition=\"{condition}\"}} {value}"
            )
        };
        metrics.record_network(
            "base",
            &conditions(&[("Ready", "False"), ("Connected", "Unknown"), ("Readable", "False")]),
        );
        metrics.record_network("other", &conditions(&[("Ready", "True")]));
        let text = metrics.text();
        for wanted in [line("base", "Ready", 0), line("base", "Connected", -1), line("other", "Ready", 1)] {
            assert!(text.contains(&wanted), "{wanted}: {text}");
        }
        metrics.record_network("base", &conditions(&[("Ready", "True"), ("Connected", "True")]));
        let text = metrics.text();
        assert!(text.contains(&line("base", "Ready", 1)) && !text.contains("Readable"), "{text}");
        metrics.forget_network("base");
        let text = metrics.text();
        assert!(!text.contains("name=\"base\"") && text.contains(&line("other", "Ready", 1)), "{text}");
    }

    #[test]
    fn an_offers_gpus_and_whether_it_is_meant_to_sell_are_told_until_it_goes() {
        let metrics = Metrics::default();
        let offer = |more: serde_json::Value, suspend: bool| -> GpuOffer {
            let mut metadata = json!({"name": "h100", "namespace": "t"});
            metadata.as_object_mut().unwrap().append(more.clone().as_object_mut().unwrap());
            serde_json::from_value(json!({
                "apiVersion": "hawser.dev/v1alpha1", "kind": "GpuOffer", "metadata": metadata,
                "spec": {"networkRef": "base", "gpu": {"product": "p"}, "price": {"perGpuHour": "1", "token": "0x"},
                    "suspend": suspend}
            }))
            .unwrap()
        };
        let gpus = Some(GpuCount { total: 8, healthy: 7, in_use: 4, offered: 3 });
        let status = GpuOfferStatus { gpus, conditions: conditions(&[("Ready", "True")]), ..GpuOfferStatus::default() };
        for (offer, suspended) in [
            (offer(json!({}), false), 0),
            (offer(json!({}), true), 1),
            (offer(json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}), false), 1),
        ] {
            metrics.record_offer(&offer, &status);
            let text = metrics.text();
            for (state, count) in [("total", 8), ("healthy", 7), ("in_use", 4), ("offered", 3)] {
                let line = format!("hawser_offer_gpus{{namespace=\"t\",offer=\"h100\",state=\"{state}\"}} {count}");
                assert!(text.contains(&line), "{line}: {text}");
            }
            let line = format!("hawser_offer_suspended{{namespace=\"t\",offer=\"h100\"}} {suspended}");
            assert!(text.contains(&line), "{line}: {text}");
        }
        metrics.forget_offer("t", "h100");
        assert!(!metrics.text().contains("h100"), "{}", metrics.text());
    }
}
