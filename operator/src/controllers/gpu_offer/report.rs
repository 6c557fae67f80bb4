//! The status of an offer, from what was seen.

use hawser_crds::condition::{CAPACITY_AVAILABLE, DEVICE_ISOLATION, NAMESPACE_ISOLATED, PUBLISHED, READY};
use hawser_crds::{GpuCount, GpuOffer, GpuOfferStatus, OnChainOffer};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;

use super::dereference::{Market, Observed};
use crate::amount;
use crate::controllers::conditions::{Conditions, Truth, is_true};

const ALL_IN_USE: &str = "AllInUse";
const SUSPENDED: &str = "Suspended";
/// Ids of earlier terms that are remembered.
const EARLIER: usize = 8;

/// Builds the next status. `as_wanted`: the chain holds what it should.
pub(crate) fn status(offer: &GpuOffer, seen: &Observed, as_wanted: bool) -> GpuOfferStatus {
    let stored = offer.status.clone().unwrap_or_default();
    let mut list = Conditions::from_stored(&stored.conditions, offer.metadata.generation, seen.now);
    published(seen, as_wanted, &mut list);
    capacity(offer, seen, &mut list);
    isolation(offer, seen, &mut list);
    ready(offer, &mut list);
    let before = stored.on_chain.as_ref().map(|c| c.offer_id.clone());
    let (on_chain, pending, earned) = match &seen.market {
        Market::Read { chain: Some(chain), token, .. } => (
            Some(OnChainOffer {
                offer_id: chain.id.to_string(),
                price: chain.price.to_string(),
                available: u32::from(chain.available),
                valid_until: u64::try_from(chain.valid_until.as_second()).unwrap_or_default(),
                card_hash: seen.posted_card.clone(),
            }),
            Some(amount::whole(seen.pending.units, token.decimals)),
            Some(amount::whole(chain.settled_amount, token.decimals)),
        ),
        _ => (stored.on_chain, stored.pending, stored.earned),
    };
    let earlier = earlier(stored.earlier, before.as_deref(), on_chain.as_ref().map(|c| c.offer_id.as_str()));
    GpuOfferStatus {
        observed_generation: offer.metadata.generation,
        conditions: list.into_list(),
        gpus: Some(GpuCount {
            total: seen.capacity.total,
            healthy: seen.capacity.healthy,
            in_use: seen.capacity.in_use,
            offered: seen.offered.gpus,
        }),
        on_chain,
        earlier,
        jobs_active: seen.jobs,
        pending,
        earned,
    }
}

/// Ids that the offer had before.
fn earlier(mut ids: Vec<String>, before: Option<&str>, now: Option<&str>) -> Vec<String> {
    if let Some(before) = before.filter(|before| Some(*before) != now && !ids.iter().any(|id| id == before)) {
        ids.push(before.to_owned());
    }
    let surplus = ids.len().saturating_sub(EARLIER);
    ids.split_off(surplus)
}

fn published(seen: &Observed, as_wanted: bool, list: &mut Conditions) {
    match &seen.market {
        Market::Unknown(reason, message) => list.set(PUBLISHED, Truth::Unknown, reason, message.clone()),
        Market::Invalid(error) => list.set(PUBLISHED, Truth::No, "InvalidSpec", error.to_string()),
        Market::Read { obstacle: Some(why), .. } if !as_wanted => {
            list.set(PUBLISHED, Truth::No, "Refused", why.clone());
        }
        Market::Read { chain: None, .. } => list.set(PUBLISHED, Truth::No, "Posting", "the offer is being posted"),
        Market::Read { .. } if as_wanted => {
            list.set(PUBLISHED, Truth::Yes, "OnChain", "the market holds the offer as it is here");
        }
        // The offer stands; a number in it is on its way.
        Market::Read { .. } => {
            list.set(PUBLISHED, Truth::Yes, "Updating", "the market holds the offer, a change is on its way");
        }
    }
}

fn capacity(offer: &GpuOffer, seen: &Observed, list: &mut Conditions) {
    let product = &offer.spec.gpu.product;
    let (truth, reason, message) = match seen.offered.gpus {
        0 if offer.spec.suspend => (Truth::No, SUSPENDED, "spec.suspend is set: nothing new is offered".to_owned()),
        0 if seen.capacity.total == 0 => (
            Truth::No,
            "NoMatchingNode",
            format!("no node has {} and the label nvidia.com/gpu.product={product}", offer.spec.gpu.resource_name),
        ),
        0 if seen.capacity.healthy == 0 => (
            Truth::No,
            "NoHealthyGpu",
            format!("{} GPUs, none of them healthy on a node that is ready and not cordoned", seen.capacity.total),
        ),
        0 => (Truth::No, ALL_IN_USE, all_in_use(offer, seen)),
        free => (Truth::Yes, "Free", format!("{free} GPUs are free")),
    };
    list.set(CAPACITY_AVAILABLE, truth, reason, message);
}

fn isolation(offer: &GpuOffer, seen: &Observed, list: &mut Conditions) {
    match (&seen.runtime_class, &offer.spec.isolation.runtime_class_name) {
        (Some(class), _) => {
            list.set(
                DEVICE_ISOLATION,
                Truth::Yes,
                "RuntimeClass",
                format!("pods run with RuntimeClass {class}: meter samples their cards"),
            );
        }
        (None, Some(missing)) => {
            let message =
                format!("RuntimeClass {missing} does not exist: create it or change isolation.runtimeClassName");
            list.set(DEVICE_ISOLATION, Truth::No, "RuntimeClassMissing", message);
        }
        (None, None) => list.set(
            DEVICE_ISOLATION,
            Truth::No,
            "NotVisible",
            "there is no RuntimeClass nvidia: time is metered, and the evidence says that NVML is not visible",
        ),
    }
    let namespace = offer.namespace().unwrap_or_default();
    let message =
        format!("label it: kubectl label namespace {namespace} pod-security.kubernetes.io/enforce=restricted");
    if seen.restricted {
        list.set(NAMESPACE_ISOLATED, Truth::Yes, "Restricted", "the namespace enforces Pod Security restricted");
    } else {
        list.set(NAMESPACE_ISOLATED, Truth::No, "NotRestricted", message);
    }
}

/// Who holds the GPUs of an offer that has none to sell.
fn all_in_use(offer: &GpuOffer, seen: &Observed) -> String {
    let hawser_crds::Capacity { max, reserve } = &offer.spec.capacity;
    let most = max.map_or_else(String::new, |max| {
        format!("; capacity.max is {max}, and the jobs of this offer are {}", seen.jobs)
    });
    let kept = if *reserve == 0 { String::new() } else { format!("; capacity.reserve keeps {reserve} for local work") };
    format!("{} of {} healthy GPUs are in use{most}{kept}", seen.capacity.in_use, seen.capacity.healthy)
}

/// Nothing is wrong with the offer. An offer that is sold out is as it should be, and so is one that was told to sell
/// nothing; without the runtime class offers are still good: their evidence says what it lacks.
fn ready(offer: &GpuOffer, list: &mut Conditions) {
    let now = list.clone().into_list();
    let meant = |c: &Condition| c.type_ == CAPACITY_AVAILABLE && [ALL_IN_USE, SUSPENDED].contains(&c.reason.as_str());
    let missing = [PUBLISHED, NAMESPACE_ISOLATED, CAPACITY_AVAILABLE].into_iter().find(|kind| !is_true(&now, kind));
    match missing.and_then(|kind| now.iter().find(|c| c.type_ == kind)) {
        Some(c) if offer.metadata.deletion_timestamp.is_none() && meant(c) => {
            list.set(READY, Truth::Yes, &c.reason, c.message.clone());
        }
        None => list.set(READY, Truth::Yes, "Ready", "customers can order"),
        Some(c) if offer.metadata.deletion_timestamp.is_some() => {
            list.set(READY, Truth::No, "Leaving", c.message.clone());
        }
        Some(c) => list.set(READY, Truth::No, &c.reason, c.message.clone()),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::controllers::conditions::find;

    #[test]
    fn earlier_ids_are_remembered_and_the_oldest_is_forgotten_first() {
        let ids = |text: &str| text.chars().map(String::from).collect::<Vec<_>>();
        assert_eq!(earlier(ids(""), Some("a"), Some("a")), ids(""));
        assert_eq!(earlier(ids(""), Some("a"), Some("b")), ids("a"));
        assert_eq!(earlier(ids("a"), Some("a"), Some("b")), ids("a"));
        assert_eq!(earlier(ids("12345678"), Some("9"), Some("b")), ids("23456789"));
    }

    #[test]
    fn an_offer_that_is_sold_out_is_ready_and_one_without_gpus_is_not() {
        let offer: GpuOffer = serde_json::from_value(json!({
            "apiVersion": "hawser.dev/v1alpha1", "kind": "GpuOffer", "metadata": {"name": "o"},
            "spec": {"networkRef": "n", "gpu": {"product": "p"}, "price": {"perGpuHour": "1", "token": "0x"}}
        }))
        .unwrap();
        for (reason, is_ready) in
            [("Free", true), (ALL_IN_USE, true), (SUSPENDED, true), ("NoHealthyGpu", false), ("NoMatchingNode", false)]
        {
            let mut list = Conditions::from_stored(&[], None, Timestamp::UNIX_EPOCH);
            list.set(PUBLISHED, Truth::Yes, "OnChain", "m");
            list.set(NAMESPACE_ISOLATED, Truth::Yes, "Restricted", "m");
            list.set(CAPACITY_AVAILABLE, if reason == "Free" { Truth::Yes } else { Truth::No }, reason, "m");
            ready(&offer, &mut list);
            let list = list.into_list();
            assert_eq!(is_true(&list, READY), is_ready, "{reason}");
            assert_eq!(find(&list, READY).unwrap().reason, if reason == "Free" { "Ready" } else { reason });
        }
    }
}
