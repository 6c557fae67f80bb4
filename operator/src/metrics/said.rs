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

    fn say(&self, kind: &'static str, namespace: &str, name: &str, conditions: &[Condition]) {
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
    /// What a network says of itself.
    pub(crate) fn network_says(&self, name: &str, conditions: &[Condition]) {
        self.conditions.say("DepinNetwork", "", name, conditions);
    }

    /// What an offer says of itself.
    pub(crate) fn offer_says(&self, offer: &GpuOffer, status: &GpuOfferStatus) {
        let (namespace, offer_name) = (offer.namespace().unwrap_or_default(), offer.name_any());
        self.conditions.say("GpuOffer", &namespace, &offer_name, &status.conditions);
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
    pub(crate) fn forget_offer(&self, offer: &GpuOffer) {
        let (namespace, name) = (offer.namespace().unwrap_or_default(), offer.name_any());
        self.money.forget_offer(&namespace, &name);
        self.conditions.forget("GpuOffer", &namespace, &name);
        for state in STATES {
            self.offers.gpus.remove(&GpuLabels { namespace: namespace.clone(), offer: name.clone(), state });
        }
        self.offers.suspended.remove(&OfferName { namespace, offer: name });
    }
}
