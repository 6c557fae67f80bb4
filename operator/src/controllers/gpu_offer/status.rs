//! The status of an offer, from what was seen.

use hawser_crds::condition::{
    CAPACITY_AVAILABLE, DEVICE_ISOLATION, NAMESPACE_ISOLATED, NETWORK_ISOLATED, PUBLISHED, READY, STORAGE_BOUNDED,
};
use hawser_crds::{GpuCount, GpuOffer, GpuOfferStatus, OnChainOffer};
use kube::ResourceExt;

use super::canary;
use super::decide::Decision;
use super::dereference::{OfferObservation, OfferOnMarket, Read};
use super::memory::Statement;
use super::serves::{label_it, no_class};
use crate::controllers::conditions::{ConditionStatus, Conditions, is_true};
use crate::network::{Offer, OfferId, Units};
use crate::reasons::Reason;

/// Ids of earlier terms that are remembered though they take no orders any more.
const EARLIER: usize = 8;

/// Builds the next status, but for what was spent.
pub(crate) fn status(
    offer: &GpuOffer,
    seen: &OfferObservation,
    statement: &Statement,
    decision: &Decision,
) -> GpuOfferStatus {
    let as_wanted = decision.is_as_wanted();
    let stored = offer.status.clone().unwrap_or_default();
    let mut list = Conditions::from_stored(&stored.conditions, offer.metadata.generation, seen.now);
    published(seen, statement, as_wanted, &mut list);
    let (status, reason, message) = capacity(offer, seen);
    list.set(CAPACITY_AVAILABLE, status, &reason, message);
    isolation(offer, seen, &mut list);
    ready(statement, sells(offer, seen), reason == Reason::AllInUse, decision.stays(), &mut list);
    let before = stored.on_chain.as_ref().map(|c| c.offer_id.clone());
    let (on_chain, pending, earned) = match &seen.market {
        OfferOnMarket::Read(read) if read.chain.is_some() => {
            let token = read.asked.as_ref().ok().map(|(_, token)| token);
            let whole = |units, old| token.map(|token| token.format_units(units)).or(old);
            let settled = read.chain.as_ref().map_or(Units::ZERO, |chain| chain.settled_amount);
            (
                read.chain.as_ref().map(|chain| on_chain(chain, seen)),
                whole(seen.pending.units, stored.pending),
                whole(settled, stored.earned),
            )
        }
        _ => (stored.on_chain, stored.pending, stored.earned),
    };
    let now = on_chain.as_ref().map(|c| c.offer_id.as_str());
    // While the market can't be read nothing is known to be closed.
    let is_closed = |id: &str| match &seen.market {
        OfferOnMarket::Read(read) => !read.open.contains(&OfferId::from(id)),
        OfferOnMarket::Unknown(..) | OfferOnMarket::Invalid(_) => false,
    };
    let other = [before, decision.posting().map(|id| id.to_string())].into_iter().flatten();
    let earlier = earlier(stored.earlier, other, now, is_closed);
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
        network: seen.network.check.clone(),
        spending: None,
    }
}

fn on_chain(chain: &Offer, seen: &OfferObservation) -> OnChainOffer {
    OnChainOffer {
        offer_id: chain.id.to_string(),
        price: chain.price.to_string(),
        available: u32::from(chain.available),
        valid_until: u64::try_from(chain.valid_until.as_second()).unwrap_or_default(),
        card_hash: seen.posted_card.clone(),
    }
}

/// GPUs that customers can order now, as the market says.
fn sells(offer: &GpuOffer, seen: &OfferObservation) -> u32 {
    if let OfferOnMarket::Read(read) = &seen.market {
        return read
            .chain
            .as_ref()
            .filter(|chain| chain.valid_until > seen.chain_time)
            .map_or(0, |c| c.available.into());
    }
    // As it was when the market could be read last.
    let stored = offer.status.as_ref().and_then(|status| status.on_chain.as_ref());
    let holds = |until: u64| i64::try_from(until).is_ok_and(|until| until > seen.chain_time.as_second());
    stored.filter(|stored| holds(stored.valid_until)).map_or(0, |stored| stored.available)
}

/// Ids that the offer had before, or is about to get: all under which it may be sold, and the newest of the others.
fn earlier(
    mut ids: Vec<String>,
    other: impl Iterator<Item = String>,
    now: Option<&str>,
    is_closed: impl Fn(&str) -> bool,
) -> Vec<String> {
    for id in other {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids.retain(|id| Some(id.as_str()) != now);
    let mut surplus = ids.iter().filter(|id| is_closed(id)).count().saturating_sub(EARLIER);
    ids.retain(|id| {
        let goes = surplus > 0 && is_closed(id);
        surplus -= usize::from(goes);
        !goes
    });
    ids
}

fn published(seen: &OfferObservation, statement: &Statement, as_wanted: bool, list: &mut Conditions) {
    match &seen.market {
        OfferOnMarket::Unknown(reason, message) => {
            list.set(PUBLISHED, ConditionStatus::Unknown, reason, message.clone());
        }
        OfferOnMarket::Invalid(error) => {
            list.set(PUBLISHED, ConditionStatus::False, &Reason::InvalidSpec, error.to_string());
        }
        OfferOnMarket::Read(read) => {
            let (status, reason, message) = on_market(read, statement, as_wanted);
            list.set(PUBLISHED, status, &reason, message);
        }
    }
}

fn on_market(read: &Read, statement: &Statement, as_wanted: bool) -> (ConditionStatus, Reason, String) {
    let stands = read.chain.is_some();
    if let Some(why) = read.refused.as_ref().filter(|_| !as_wanted) {
        return (ConditionStatus::False, Reason::Refused, why.clone());
    }
    match &statement.obstacle {
        Some(wrong) if matches!(wrong.reason, Reason::InvalidSpec | Reason::NotAToken | Reason::TokenNotRead) => {
            (ConditionStatus::False, wrong.reason.clone(), wrong.message.clone())
        }
        Some(wrong) if !stands => {
            (ConditionStatus::False, Reason::NotPosted, format!("posted once it can be served: {}", wrong.message))
        }
        _ if !stands => (ConditionStatus::False, Reason::Posting, "the offer is being posted".to_owned()),
        _ if as_wanted => {
            (ConditionStatus::True, Reason::OnChain, "the market holds the offer as it is here".to_owned())
        }
        // The offer stands; a number in it is on its way.
        _ => (ConditionStatus::True, Reason::Updating, "the market holds the offer, a change is on its way".to_owned()),
    }
}

fn capacity(offer: &GpuOffer, seen: &OfferObservation) -> (ConditionStatus, Reason, String) {
    let product = &offer.spec.gpu.product;
    match seen.offered.gpus {
        0 if offer.spec.suspend => {
            (ConditionStatus::False, Reason::Suspended, "spec.suspend is set: nothing new is offered".to_owned())
        }
        0 if seen.capacity.total == 0 => (
            ConditionStatus::False,
            Reason::NoMatchingNode,
            format!("no node has {} and the label nvidia.com/gpu.product={product}", offer.spec.gpu.resource_name),
        ),
        0 if seen.capacity.healthy == 0 => (
            ConditionStatus::False,
            Reason::NoHealthyGpu,
            format!("of {} GPUs none can be sold: {}", seen.capacity.total, seen.why_none),
        ),
        0 => (ConditionStatus::False, Reason::AllInUse, all_in_use(offer, seen)),
        free => (ConditionStatus::True, Reason::Free, format!("{free} GPUs are free")),
    }
}

fn isolation(offer: &GpuOffer, seen: &OfferObservation, list: &mut Conditions) {
    match (&seen.around.class, &offer.spec.isolation.runtime_class_name) {
        (Some(class), _) => {
            list.set(
                DEVICE_ISOLATION,
                ConditionStatus::True,
                &Reason::RuntimeClass,
                format!("pods run with RuntimeClass {class}: meter samples their cards"),
            );
        }
        (None, Some(missing)) => {
            list.set(DEVICE_ISOLATION, ConditionStatus::False, &Reason::RuntimeClassMissing, no_class(missing));
        }
        (None, None) => list.set(
            DEVICE_ISOLATION,
            ConditionStatus::False,
            &Reason::NotVisible,
            "there is no RuntimeClass nvidia: time is metered, and the evidence says that NVML is not visible",
        ),
    }
    if seen.around.restricted {
        list.set(
            NAMESPACE_ISOLATED,
            ConditionStatus::True,
            &Reason::Restricted,
            "the namespace enforces Pod Security restricted",
        );
    } else {
        list.set(
            NAMESPACE_ISOLATED,
            ConditionStatus::False,
            &Reason::NotRestricted,
            label_it(&offer.namespace().unwrap_or_default()),
        );
    }
    let (status, reason, message) = canary::verdict(seen.network.check.as_ref(), seen.now);
    list.set(NETWORK_ISOLATED, status, &reason, message);
    let (status, reason, message) = canary::storage_verdict(seen.network.check.as_ref());
    list.set(STORAGE_BOUNDED, status, &reason, message);
}

/// Who holds the GPUs of an offer that has none to sell.
fn all_in_use(offer: &GpuOffer, seen: &OfferObservation) -> String {
    let hawser_crds::Capacity { max, reserve } = &offer.spec.capacity;
    let most = max.map_or_else(String::new, |max| {
        format!("; capacity.max is {max}, and the jobs of this offer are {}", seen.jobs)
    });
    let kept = if *reserve == 0 { String::new() } else { format!("; capacity.reserve keeps {reserve} for local work") };
    format!("{} of {} healthy GPUs are in use{most}{kept}", seen.capacity.in_use, seen.capacity.healthy)
}

/// Customers can order, or could if not everything were sold: exactly what the market says.
fn ready(statement: &Statement, sells: u32, sold_out: bool, stays: Option<&str>, list: &mut Conditions) {
    let now = list.clone().into_list();
    if let Some(why) = stays {
        list.set(READY, ConditionStatus::False, &Reason::Leaving, format!("it is being deleted: {why}"));
        return;
    }
    if let Some(obstacle) = &statement.obstacle {
        list.set(READY, ConditionStatus::False, &obstacle.reason, obstacle.message.clone());
        return;
    }
    let missing = [PUBLISHED, CAPACITY_AVAILABLE].into_iter().find(|kind| !is_true(&now, kind));
    match missing.and_then(|kind| now.iter().find(|c| c.type_ == kind)) {
        Some(c) if sold_out && c.type_ == CAPACITY_AVAILABLE => list.repeat(READY, ConditionStatus::True, c),
        // What it can't be told for a moment, the market still says.
        Some(c) if c.status == "Unknown" && sells > 0 => {
            list.set(READY, ConditionStatus::True, &Reason::Ready, "customers can order");
        }
        Some(c) => list.repeat(READY, ConditionStatus::False, c),
        None if sells == 0 => {
            let message =
                "GPUs are free again: the market is told after a while, since each time costs transaction fees";
            list.set(READY, ConditionStatus::False, &Reason::Rising, message);
        }
        None => list.set(READY, ConditionStatus::True, &Reason::Ready, "customers can order"),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::controllers::conditions::find;
    use crate::controllers::gpu_offer::serves::Obstacle;

    #[test]
    fn ids_under_which_it_may_be_sold_are_remembered_and_of_the_others_the_oldest_is_forgotten_first() {
        let ids = |text: &str| text.chars().map(String::from).collect::<Vec<_>>();
        // Stored, before, to be posted, now on chain, closed; then.
        for (stored, before, posting, now, closed, expected) in [
            ("", "a", "", "a", "", ""),
            ("", "a", "", "b", "", "a"),
            ("a", "a", "", "b", "", "a"),
            ("", "", "a", "", "", "a"),
            ("a", "", "b", "", "", "ab"),
            ("ab", "", "b", "b", "", "a"),
            ("", "a", "b", "a", "", "b"),
            ("b", "a", "a", "a", "", "b"),
            ("12345678", "9", "", "b", "12345678", "123456789"),
            ("123456789", "9", "", "b", "123456789", "23456789"),
            ("123456789", "9", "", "b", "23456789", "123456789"),
            ("1234567890", "c", "d", "b", "234567890", "134567890cd"),
            ("1234567890", "c", "d", "b", "", "1234567890cd"),
        ] {
            let other = ids(before).into_iter().chain(ids(posting));
            let present = (!now.is_empty()).then_some(now);
            let then = earlier(ids(stored), other, present, |id| closed.contains(id));
            assert_eq!(then, ids(expected), "{stored} {before} {posting} {now} {closed}");
        }
    }

    #[test]
    fn ready_says_what_the_market_says() {
        let obstacle = |reason: &str| Some(Obstacle::new(Reason::read(reason), "m"));
        let yes = ConditionStatus::True;
        // Published, capacity's reason, in the way, what the market sells, why it stays; Ready's word and reason.
        for (published, capacity, obstacle, sells, stays, word, reason) in [
            (yes, "Free", None, 1, None, "True", "Ready"),
            (yes, "AllInUse", None, 0, None, "True", "AllInUse"),
            (yes, "Free", None, 0, None, "False", "Rising"),
            (yes, "NoHealthyGpu", None, 0, None, "False", "NoHealthyGpu"),
            (yes, "NoMatchingNode", None, 0, None, "False", "NoMatchingNode"),
            (yes, "Suspended", obstacle("Suspended"), 0, None, "False", "Suspended"),
            (yes, "Free", obstacle("NetworkNotReady"), 0, None, "False", "NetworkNotReady"),
            (yes, "AllInUse", obstacle("NotRestricted"), 0, None, "False", "NotRestricted"),
            (ConditionStatus::Unknown, "Free", None, 1, None, "True", "Ready"),
            (ConditionStatus::Unknown, "Free", None, 0, None, "False", "Posting"),
            (ConditionStatus::False, "Free", None, 0, None, "False", "Posting"),
            (yes, "Free", None, 1, Some("it waits"), "False", "Leaving"),
            (yes, "AllInUse", obstacle("Leaving"), 0, Some("it waits"), "False", "Leaving"),
        ] {
            let mut list = Conditions::from_stored(&[], None, Timestamp::UNIX_EPOCH);
            list.set(PUBLISHED, published, &Reason::Posting, "m");
            list.set(
                CAPACITY_AVAILABLE,
                if capacity == "Free" { yes } else { ConditionStatus::False },
                &Reason::read(capacity),
                "m",
            );
            ready(&Statement { obstacle, available: 0 }, sells, capacity == "AllInUse", stays, &mut list);
            let list = list.into_list();
            let ready = find(&list, READY).unwrap();
            assert_eq!((ready.status.as_str(), ready.reason.as_str()), (word, reason), "{capacity} {sells}");
        }
    }
}
