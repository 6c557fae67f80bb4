//! Whether an order for an offer could be served now. What is not served is not offered: the market is told of no GPU
//! while anything that an order needs is missing, and `Ready` says the same.

use std::time::Duration;

use hawser_crds::{GpuOffer, NetworkCheck};
use kube::ResourceExt;

use super::around::{Around, NetworkReadiness};
use super::canary;
use super::terms::{self, OfferSpecError};
use crate::controllers::compute_job::NotTaken;
use crate::network::Units;
use crate::reasons::Reason;

/// A network that is away for a moment takes no offer from the market: that costs a transaction, and another one when
/// it is back.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why nothing can be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Obstacle {
    pub reason: Reason,
    /// What is wrong, and the way out.
    pub message: String,
    /// It must have stood for so long before it counts against an offer that stands.
    pub patience: Duration,
}

impl Obstacle {
    pub(crate) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), patience: Duration::ZERO }
    }

    pub(crate) fn passing(reason: Reason, message: impl Into<String>) -> Self {
        Self { patience: PATIENCE, ..Self::new(reason, message) }
    }
}

impl From<OfferSpecError> for Obstacle {
    fn from(error: OfferSpecError) -> Self {
        Self::new(Reason::InvalidSpec, error.to_string())
    }
}

/// What an offer's biggest order brings, and what its transactions cost, in token units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Worth {
    pub brings: Units,
    /// Zero where it is not known.
    pub cost: Units,
    /// What else to correct where it costs more: of the network.
    pub advice: &'static str,
}

/// What is in the way of every order; none where orders can be served.
pub(crate) fn obstacle(
    offer: &GpuOffer,
    around: &Around,
    check: Option<&NetworkCheck>,
    refused: Option<&NotTaken>,
    worth: Option<Worth>,
) -> Option<Obstacle> {
    provider(offer)
        .or_else(|| network(offer, around))
        .or_else(|| pods(offer, around))
        .or_else(|| canary::obstacle(check, &offer.spec.isolation.accept_reachable))
        .or_else(|| Some(not_taken(refused?)))
        .or_else(|| pays(worth?))
}

/// Why an order that is there already is declined at once rather than left waiting for what won't come. What the network
/// lacks is no such reason: without it nothing could be declined.
pub(crate) fn declines(offer: &GpuOffer, around: &Around) -> Option<String> {
    let check = offer.status.as_ref().and_then(|status| status.network.as_ref());
    provider(offer)
        .or_else(|| pods(offer, around))
        .or_else(|| canary::obstacle(check, &offer.spec.isolation.accept_reachable))
        .map(|obstacle| obstacle.message)
}

/// What the provider wants, and can't want.
fn provider(offer: &GpuOffer) -> Option<Obstacle> {
    if offer.metadata.deletion_timestamp.is_some() {
        return Some(Obstacle::new(Reason::Leaving, "the offer is being deleted: it takes no new orders"));
    }
    if offer.spec.suspend {
        return Some(Obstacle::new(Reason::Suspended, "spec.suspend is set: nothing new is offered"));
    }
    terms::limits(&offer.spec).err().map(Obstacle::from)
}

/// Nobody reads the orders, or nobody can act on them.
fn network(offer: &GpuOffer, around: &Around) -> Option<Obstacle> {
    let name = &offer.spec.network_ref;
    match &around.network {
        NetworkReadiness::Ready => None,
        NetworkReadiness::Missing(names) => Some(Obstacle::new(Reason::NoNetwork, missing(name, names))),
        NetworkReadiness::Unreadable => {
            let message = format!("DepinNetwork {name:?} can't be read by this operator: see its conditions");
            Some(Obstacle::passing(Reason::NetworkNotReady, message))
        }
        NetworkReadiness::NotReady { reason, message } => {
            Some(Obstacle::passing(Reason::NetworkNotReady, format!("DepinNetwork {name:?} is {reason}: {message}")))
        }
    }
}

fn missing(name: &str, names: &[String]) -> String {
    let there = match names {
        [] => "there is none at all: make one".to_owned(),
        names => format!("there are {}", names.join(", ")),
    };
    format!(
        "spec.networkRef names DepinNetwork {name:?}, which does not exist; {there}. The field can't be changed: make the \
         network, or delete this offer and make another"
    )
}

/// The jobs' pods would be refused, for what can be known without asking.
pub(super) fn pods(offer: &GpuOffer, around: &Around) -> Option<Obstacle> {
    if let Some(denied) = &around.denied {
        return Some(Obstacle::new(Reason::NoRights, denied.to_string()));
    }
    if !around.restricted {
        let namespace = offer.namespace().unwrap_or_default();
        return Some(Obstacle::new(Reason::NotRestricted, label_it(&namespace)));
    }
    let named = offer.spec.isolation.runtime_class_name.as_ref().filter(|_| around.class.is_none())?;
    Some(Obstacle::new(Reason::RuntimeClassMissing, no_class(named)))
}

pub(super) fn label_it(namespace: &str) -> String {
    format!("label it: kubectl label namespace {namespace} pod-security.kubernetes.io/enforce=restricted")
}

pub(super) fn no_class(name: &str) -> String {
    format!("RuntimeClass {name} does not exist: create it or change isolation.runtimeClassName")
}

/// The API server was asked, and would not take what most orders need. An order that is there already may be taken later.
fn not_taken(NotTaken { reason, message }: &NotTaken) -> Obstacle {
    let what = if *reason == Reason::NotAdmitted { "the job of an order" } else { "the pod of an order" };
    let message = format!(
        "the API server would not take {what} for one GPU: {message}. Mend what it names: raise a quota, or sell no more than it allows with capacity.max and limits; correct a policy, or bring back a webhook that is away. It is asked again within 10 minutes, and at once when this offer's spec changes"
    );
    Obstacle::passing(reason.clone(), message)
}

/// Not even the biggest order pays its own transactions.
fn pays(Worth { brings, cost, advice }: Worth) -> Option<Obstacle> {
    if cost.is_zero() || brings >= cost {
        return None;
    }
    let or = if advice.is_empty() { String::new() } else { format!(", or {advice}") };
    let message = format!(
        "the longest order for all that is free brings {brings} token units, and its transaction fees are {cost} now: raise \
         price.perGpuHour or limits.maxSeconds{or}"
    );
    Some(Obstacle::passing(Reason::PriceBelowGas, message))
}

#[cfg(test)]
mod tests {
    use hawser_crds::{GpuOfferStatus, Reachable};
    use serde_json::{Value, json};

    use super::super::rights::Denied;
    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "json! at the call reads best")]
    fn offer(spec: Value, meta: Value) -> GpuOffer {
        let mut offer = json!({
            "apiVersion": "hawser.dev/v1alpha1", "kind": "GpuOffer", "metadata": {"name": "o", "namespace": "t"},
            "spec": {
                "networkRef": "main", "gpu": {"product": "p"},
                "price": {"perGpuHour": "1", "token": "0x0000000000000000000000000000000000000001"}
            }
        });
        offer["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        offer["metadata"].as_object_mut().unwrap().extend(meta.as_object().unwrap().clone());
        serde_json::from_value(offer).unwrap()
    }

    fn around() -> Around {
        Around {
            restricted: true,
            going: false,
            class: Some("nvidia".to_owned()),
            network: NetworkReadiness::Ready,
            denied: None,
        }
    }

    fn denied() -> Denied {
        Denied { what: "create pods".to_owned(), namespace: "t".to_owned(), account: "me".to_owned() }
    }

    fn not_ready(reason: &str) -> Around {
        let network = NetworkReadiness::NotReady { reason: reason.to_owned(), message: "the words".to_owned() };
        Around { network, ..around() }
    }

    #[test]
    fn nothing_is_offered_while_anything_that_an_order_needs_is_missing() {
        let none = || (json!({}), json!({}));
        let worth = |brings: u64, cost: u64| {
            Some(Worth { brings: Units::from(brings), cost: Units::from(cost), ..Worth::default() })
        };
        let leaving = json!({"deletionTimestamp": "2026-01-01T00:00:00Z"});
        let kata = json!({"isolation": {"runtimeClassName": "kata"}});
        let names = NetworkReadiness::Missing(vec!["local".to_owned(), "main2".to_owned()]);
        // What the offer and its surroundings are; the reason, words of the message, and whether it must last.
        for ((spec, meta), around, worth, reason, words, lasts) in [
            (none(), around(), None, "", "", false),
            (none(), around(), worth(10, 10), "", "", false),
            (none(), around(), worth(0, 0), "", "", false),
            ((json!({}), leaving), around(), None, "Leaving", "being deleted", false),
            ((json!({"suspend": true}), json!({})), around(), None, "Suspended", "spec.suspend", false),
            (
                (json!({"limits": {"cpuPerGpu": "four"}}), json!({})),
                around(),
                None,
                "InvalidSpec",
                "spec.limits.cpuPerGpu: \"four\"",
                false,
            ),
            (none(), Around { network: names, ..around() }, None, "NoNetwork", "there are local, main2", false),
            (
                none(),
                Around { network: NetworkReadiness::Missing(Vec::new()), ..around() },
                None,
                "NoNetwork",
                "there is none at all",
                false,
            ),
            (
                none(),
                Around { network: NetworkReadiness::Unreadable, ..around() },
                None,
                "NetworkNotReady",
                "\"main\"",
                true,
            ),
            (none(), not_ready("CatchingUp"), None, "NetworkNotReady", "CatchingUp: the words", true),
            (none(), not_ready("Empty"), None, "NetworkNotReady", "Empty", true),
            (none(), Around { restricted: false, ..around() }, None, "NotRestricted", "namespace t", false),
            (none(), Around { denied: Some(denied()), ..around() }, None, "NoRights", "kubectl -n t create", false),
            ((kata.clone(), json!({})), Around { class: None, ..around() }, None, "RuntimeClassMissing", "kata", false),
            ((kata, json!({})), around(), None, "", "", false),
            (none(), Around { class: None, ..around() }, None, "", "", false),
            (none(), around(), worth(9, 10), "PriceBelowGas", "brings 9 token units", true),
        ] {
            let offer = offer(spec.clone(), meta);
            let got = obstacle(&offer, &around, None, None, worth);
            let said = got.as_ref().map_or("", |o| o.reason.as_str());
            assert_eq!(said, reason, "{spec} {around:?}");
            assert!(got.as_ref().map_or("", |o| o.message.as_str()).contains(words), "{got:?}");
            assert_eq!(got.is_some_and(|o| !o.patience.is_zero()), lasts, "{reason}");
        }
    }

    #[test]
    fn nothing_is_offered_while_the_api_server_would_not_take_an_order_and_what_is_known_without_asking_goes_first() {
        let no = |reason: &str| NotTaken { reason: Reason::read(reason), message: "exceeded quota: team".to_owned() };
        let (plain, suspended) = (offer(json!({}), json!({})), offer(json!({"suspend": true}), json!({})));
        let cheap = Some(Worth { brings: Units::from(9), cost: Units::from(10), ..Worth::default() });
        let unlabelled = Around { restricted: false, ..around() };
        for (offer, around, refused, worth, reason, words) in [
            (&plain, around(), Some(no("PodRefused")), None, "PodRefused", "the pod of an order for one GPU: exceeded"),
            (
                &plain,
                around(),
                Some(no("NotAdmitted")),
                None,
                "NotAdmitted",
                "the job of an order for one GPU: exceeded",
            ),
            (&plain, around(), Some(no("PodRefused")), cheap, "PodRefused", "exceeded quota: team. Mend"),
            (&plain, around(), None, cheap, "PriceBelowGas", ""),
            (&plain, unlabelled, Some(no("PodRefused")), None, "NotRestricted", ""),
            (&suspended, around(), Some(no("PodRefused")), None, "Suspended", ""),
        ] {
            let got = obstacle(offer, &around, None, refused.as_ref(), worth).unwrap();
            assert_eq!(got.reason.as_str(), reason, "{refused:?}");
            assert!(got.message.contains(words), "{}", got.message);
            let lasts = ["PodRefused", "NotAdmitted", "PriceBelowGas"].contains(&reason);
            assert_eq!(!got.patience.is_zero(), lasts, "a webhook may be away for a moment: {reason}");
        }
    }

    #[test]
    fn an_order_is_declined_at_once_for_what_will_not_come_and_not_for_a_network_that_is_away() {
        let plain = offer(json!({}), json!({}));
        let suspended = offer(json!({"suspend": true}), json!({}));
        let unlabelled = Around { restricted: false, ..around() };
        let mut open = offer(json!({}), json!({}));
        let network = NetworkCheck { cluster: vec!["10.0.0.1:443".to_owned()], ..NetworkCheck::default() };
        open.status = Some(GpuOfferStatus { network: Some(network), ..GpuOfferStatus::default() });
        let mut accepted = open.clone();
        accepted.spec.isolation.accept_reachable = vec![Reachable::Cluster];
        for (offer, around, declined) in [
            (&plain, around(), false),
            (&plain, not_ready("Unreachable"), false),
            (&plain, unlabelled, true),
            (&plain, Around { denied: Some(denied()), ..around() }, true),
            (&suspended, around(), true),
            (&open, around(), true),
            (&accepted, around(), false),
        ] {
            assert_eq!(declines(offer, &around).is_some(), declined, "{around:?}");
        }
    }
}
