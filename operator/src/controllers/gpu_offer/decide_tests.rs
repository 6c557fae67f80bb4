use serde_json::json;

use super::*;
use crate::controllers::gpu_offer::around::{Around, NetworkReadiness};
use crate::controllers::gpu_offer::canary;
use crate::controllers::gpu_offer::dereference::TermsSeen;
use crate::controllers::gpu_offer::publish::card_hash;
use crate::controllers::gpu_offer::serves::Obstacle;
use crate::controllers::gpu_offer::terms::valid_until;
use crate::inventory::{Capacity, Offered};
use crate::network::{GpuSeconds, Offer, OfferTerms, Token, Units};
use crate::reasons::Reason;
use crate::settlement::Unclaimed;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

pub(crate) fn terms(version: u8) -> OfferTerms {
    OfferTerms {
        name: format!("cluster/t/o{version}"),
        product: "p".to_owned(),
        token: "T".into(),
        start_window_seconds: 600,
        claim_window_seconds: 3600,
        min_seconds: 60,
        max_seconds: 600,
    }
}

pub(crate) fn id(terms: &OfferTerms) -> OfferId {
    OfferId::from(&terms.name)
}

fn chain(terms: &OfferTerms, available: u16) -> Offer {
    let (settled, settled_amount) = (GpuSeconds(0), Units::ZERO);
    Offer { id: id(terms), price: 10, available, valid_until: valid_until(NOW), settled, settled_amount }
}

fn obstacle() -> Obstacle {
    Obstacle::passing(Reason::TokenNotRead, "m")
}

/// An offer that stands as it is wanted, with eight GPUs, once changed.
pub(crate) fn read(change: impl FnOnce(&mut Read)) -> OfferOnMarket {
    let (terms, card) = (terms(4), "{}".to_owned());
    let wanted = Wanted { id: id(&terms), terms: terms.clone(), price: 10, available: 0, card, sunset: None };
    let token = Token { id: "T".into(), symbol: "T".to_owned(), decimals: 6 };
    let mut read = Read {
        id: wanted.id.clone(),
        chain: Some(chain(&terms, 8)),
        earlier: Vec::new(),
        open: Vec::new(),
        asked: Ok((wanted, token)),
        refused: None,
        most_gpus: 7_000,
    };
    change(&mut read);
    OfferOnMarket::Read(Box::new(read))
}

pub(crate) fn seen(market: OfferOnMarket) -> OfferObservation {
    OfferObservation {
        capacity: Capacity::default(),
        offered: Offered { gpus: 8, largest_order: 8 },
        why_none: String::new(),
        jobs: 0,
        unreadable: 0,
        pending: Unclaimed::default(),
        market,
        terms_seen: TermsSeen::default(),
        posted_card: Some(card_hash("{}")),
        around: Around { restricted: true, going: false, class: None, network: NetworkReadiness::Ready, denied: None },
        network: canary::CanaryFinding::default(),
        obstacle: None,
        chain_time: NOW,
        now: NOW,
    }
}

pub(crate) fn offer() -> GpuOffer {
    serde_json::from_value(json!({
        "apiVersion": "hawser.dev/v1alpha1", "kind": "GpuOffer", "metadata": {"name": "o", "generation": 2},
        "spec": {"networkRef": "n", "gpu": {"product": "p"}, "price": {"perGpuHour": "1", "token": "0x"}},
        "status": {"observedGeneration": 2}
    }))
    .unwrap()
}

/// What is done, in words.
fn words(decision: &Decision) -> Vec<String> {
    let updates = decision.updates.iter().map(|action| match action {
        NetworkAction::UpdateOffer { offer, available, .. } if *offer == id(&terms(4)) => format!("say {available}"),
        NetworkAction::UpdateOffer { available, .. } => format!("earlier: say {available}"),
        other => format!("{other:?}"),
    });
    updates.chain(decision.posts.iter().map(|_| "post".to_owned())).collect()
}

#[test]
fn an_offer_is_posted_updated_lowered_or_withdrawn_by_what_is_seen_and_what_is_to_be_told() {
    let told = |available| Statement { obstacle: None, available };
    let nothing = || Statement { obstacle: Some(obstacle()), available: 0 };
    let unknown = || OfferOnMarket::Unknown(Reason::NetworkUnavailable, "away".to_owned());
    for (name, market, statement, may_post, expected, again) in [
        ("as wanted", read(|_| ()), told(8), false, &[][..], STEADY),
        ("not there yet", read(|r| r.chain = None), told(8), true, &["post"], AWAITED),
        ("fewer are free", read(|_| ()), told(5), false, &["say 5"], AWAITED),
        (
            "fewer are told than could be served",
            read(|r| r.chain = Some(chain(&terms(4), 5))),
            told(5),
            false,
            &[],
            RISING,
        ),
        (
            "more are free than one order may ask for",
            read(|r| (r.chain, r.most_gpus) = (Some(chain(&terms(4), 5)), 7)),
            told(8),
            false,
            &["say 7"],
            AWAITED,
        ),
        ("all that one order may ask for are told", read(|r| r.most_gpus = 8), told(9), false, &[], STEADY),
        (
            "earlier terms sell",
            read(|r| r.earlier = vec![chain(&terms(9), 3)]),
            told(8),
            false,
            &["earlier: say 0"],
            AWAITED,
        ),
        ("its token is away for a moment", read(|r| r.asked = Err(obstacle())), told(8), false, &[], STEADY),
        ("and fewer are free", read(|r| r.asked = Err(obstacle())), told(3), false, &["say 3"], AWAITED),
        ("nothing can be served", read(|_| ()), nothing(), true, &["say 0"], AWAITED),
        (
            "nothing can be served, none is told",
            read(|r| r.chain = Some(chain(&terms(4), 0))),
            nothing(),
            true,
            &[],
            STEADY,
        ),
        ("not posted while nothing can be served", read(|r| r.chain = None), nothing(), true, &[], STEADY),
        ("the chain can't be seen", unknown(), told(8), true, &[], STEADY),
    ] {
        let decision = decide(&offer(), &seen(market), &statement, may_post, None);
        assert_eq!(
            (words(&decision), decision.again),
            (expected.iter().map(ToString::to_string).collect(), again),
            "{name}"
        );
        assert_eq!((decision.is_as_wanted(), decision.leaves), (expected.is_empty(), None), "{name}");
    }
}

#[test]
fn another_card_is_posted_once_it_can_be_and_what_else_differs_is_said_meanwhile() {
    let told = |available| Statement { obstacle: None, available };
    let nothing = Statement { obstacle: Some(obstacle()), available: 0 };
    for (name, posted, statement, may_post, expected, again) in [
        ("it can be", "another", told(8), true, &["post"][..], AWAITED),
        ("not now", "another", told(8), false, &[], STEADY),
        ("not now, and fewer are free", "another", told(5), false, &["say 5"], AWAITED),
        ("the post says what else differs", "another", told(5), true, &["post"], AWAITED),
        ("nothing can be served", "another", nothing, true, &["say 0"], AWAITED),
        ("it is posted", "{}", told(8), true, &[], STEADY),
    ] {
        let look = OfferObservation { posted_card: Some(card_hash(posted)), ..seen(read(|_| ())) };
        let decision = decide(&offer(), &look, &statement, may_post, None);
        assert_eq!(
            (words(&decision), decision.again),
            (expected.iter().map(ToString::to_string).collect(), again),
            "{name}"
        );
    }
}

#[test]
fn a_card_is_posted_where_it_differs_and_by_the_owner_where_the_owner_changed_it() {
    let card = |seen: &OfferObservation, generation: i64, obstacle: Option<Obstacle>| {
        let mut offer = offer();
        offer.metadata.generation = Some(generation);
        card_to_post(&offer, seen, &Statement { obstacle, available: 8 }).map(|card| card.by_owner)
    };
    let other = OfferObservation { posted_card: Some(card_hash("another")), ..seen(read(|_| ())) };
    assert_eq!(card(&seen(read(|_| ())), 3, None), None, "it is posted");
    assert_eq!(card(&seen(read(|r| r.chain = None)), 2, None), Some(false), "nothing is");
    assert_eq!((card(&other, 2, None), card(&other, 3, None)), (Some(false), Some(true)));
    assert_eq!(card(&other, 3, Some(obstacle())), None, "nothing can be served");
    assert_eq!(card(&seen(read(|r| r.asked = Err(obstacle()))), 3, None), None, "it is not known");
}

#[test]
fn an_offer_that_is_being_deleted_says_only_that_it_takes_no_orders_and_goes_once_it_does_not() {
    let withdraw = NetworkAction::UpdateOffer { offer: id(&terms(4)), price: 10, available: 0, valid_until: NOW };
    for (stand, expected, stays) in [
        (MarketStanding::Open(vec![withdraw]), &["say 0"][..], true),
        (MarketStanding::Closed { orders_read: false }, &[], true),
        (MarketStanding::Closed { orders_read: true }, &[], false),
        (MarketStanding::Never, &[], false),
    ] {
        let leaving = Leaving { stand, jobs: 0, unreadable: 0, abandoned: false };
        let statement = Statement { obstacle: None, available: 5 };
        let decision = decide(&offer(), &seen(read(|_| ())), &statement, true, Some(&leaving));
        assert_eq!(words(&decision), expected, "{leaving:?}");
        assert_eq!((decision.stays().is_some(), decision.again), (stays, AWAITED), "{leaving:?}");
    }
}
