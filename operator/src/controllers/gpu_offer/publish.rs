//! What has to be said on chain of an offer. Pure.

use hawser_attestation::digest;
use jiff::Timestamp;

use super::terms::{lapses_soon, valid_until};
use crate::network::{NetworkAction, Offer, OfferId, OfferPost, OfferTerms};

/// How the offer should stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub id: OfferId,
    pub terms: OfferTerms,
    pub price: u128,
    pub available: u16,
    pub card: String,
    /// Last second at which the market takes any order, if it ends.
    pub sunset: Option<Timestamp>,
}

impl Wanted {
    /// Until when it is to hold. The market keeps nothing beyond its sunset: to ask for that would be asked again and again.
    fn until(&self, now: Timestamp) -> Timestamp {
        let until = valid_until(now);
        self.sunset.map_or(until, |sunset| until.min(sunset))
    }
}

/// The actions that make chain and wish the same; none where they are.
///
/// `posted_card` is the hash of the card that was posted last, as far as it is known: the chain keeps it in its log only.
/// `may_post`: another card can be posted now.
pub(crate) fn actions(
    wanted: &Wanted,
    chain: Option<&Offer>,
    posted_card: Option<&str>,
    may_post: bool,
    now: Timestamp,
) -> Vec<NetworkAction> {
    let Some(chain) = chain else { return vec![post(wanted, now)] };
    if may_post && posted_card != Some(card_hash(&wanted.card).as_str()) {
        return vec![post(wanted, now)];
    }
    let longer = wanted.until(now) > chain.valid_until;
    let stale = wanted.available > 0 && lapses_soon(chain.valid_until, now) && longer;
    if chain.price == wanted.price && chain.available == wanted.available && !stale {
        return Vec::new();
    }
    vec![NetworkAction::UpdateOffer {
        offer: chain.id.clone(),
        price: wanted.price,
        available: wanted.available,
        valid_until: wanted.until(now),
    }]
}

fn post(wanted: &Wanted, now: Timestamp) -> NetworkAction {
    NetworkAction::SetOffer(OfferPost {
        offer: wanted.id.clone(),
        terms: wanted.terms.clone(),
        price: wanted.price,
        available: wanted.available,
        valid_until: wanted.until(now),
        card: wanted.card.clone(),
    })
}

/// Takes an offer from the market; none where it takes no orders.
pub(crate) fn withdraw(chain: Option<&Offer>, now: Timestamp) -> Option<NetworkAction> {
    let chain = chain.filter(|c| c.available > 0 && c.valid_until > now)?;
    Some(NetworkAction::UpdateOffer {
        offer: chain.id.clone(),
        price: chain.price,
        available: 0,
        valid_until: chain.valid_until,
    })
}

/// Names a card in a status.
pub(crate) fn card_hash(card: &str) -> String {
    digest(card).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controllers::gpu_offer::decide::tests::terms;
    use crate::network::{GpuSeconds, Units};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn wanted() -> Wanted {
        Wanted { id: "offer".into(), terms: terms(0), price: 10, available: 8, card: "{}".to_owned(), sunset: None }
    }

    fn chain(change: impl FnOnce(&mut Offer)) -> Offer {
        let wanted = wanted();
        let mut offer = Offer {
            id: wanted.id,
            price: 10,
            available: 8,
            valid_until: valid_until(at(0)),
            settled: GpuSeconds(0),
            settled_amount: Units::ZERO,
        };
        change(&mut offer);
        offer
    }

    #[test]
    fn an_offer_is_not_renewed_beyond_the_markets_sunset() {
        let now = at(3600 * 13);
        let sunset = at(3600 * 30);
        let ends = Wanted { sunset: Some(sunset), ..wanted() };
        let hash = card_hash("{}");
        let renewed = actions(&ends, Some(&chain(|_| ())), Some(&hash), true, now);
        assert!(
            matches!(renewed.as_slice(), [NetworkAction::UpdateOffer { valid_until, .. }] if *valid_until == sunset)
        );
        let renewed = chain(|c| c.valid_until = sunset);
        assert_eq!(actions(&ends, Some(&renewed), Some(&hash), true, at(3600 * 29)), [], "it holds as long as it can");
        let posted = actions(&ends, None, None, true, now);
        assert!(matches!(posted.as_slice(), [NetworkAction::SetOffer(post)] if post.valid_until == sunset));
    }

    #[derive(Debug, PartialEq)]
    enum PublishKind {
        Nothing,
        Post,
        Update,
    }

    #[test]
    fn an_offer_is_posted_once_and_updated_when_it_differs() {
        let hash = card_hash("{}");
        for (name, chain, card, may_post, now, kind) in [
            ("never posted", None, None, false, 0, PublishKind::Post),
            ("as wanted", Some(chain(|_| ())), Some(&hash), true, 0, PublishKind::Nothing),
            ("card unknown", Some(chain(|_| ())), None, true, 0, PublishKind::Post),
            ("card later", Some(chain(|_| ())), None, false, 0, PublishKind::Nothing),
            ("card later, price now", Some(chain(|c| c.price = 9)), None, false, 0, PublishKind::Update),
            ("price", Some(chain(|c| c.price = 9)), Some(&hash), true, 0, PublishKind::Update),
            ("available", Some(chain(|c| c.available = 7)), Some(&hash), true, 0, PublishKind::Update),
            ("lapses", Some(chain(|_| ())), Some(&hash), true, 3600 * 13, PublishKind::Update),
        ] {
            let got = match actions(&wanted(), chain.as_ref(), card.map(String::as_str), may_post, at(now)).first() {
                None => PublishKind::Nothing,
                Some(NetworkAction::SetOffer(_)) => PublishKind::Post,
                Some(_) => PublishKind::Update,
            };
            assert_eq!(got, kind, "{name}");
        }
    }

    #[test]
    fn an_offer_that_takes_no_orders_is_not_renewed() {
        let paused = Wanted { available: 0, ..wanted() };
        let stands = chain(|c| c.available = 0);
        assert_eq!(actions(&paused, Some(&stands), Some(&card_hash("{}")), true, at(3600 * 30)), []);
    }

    #[test]
    fn withdrawing_says_that_nothing_is_available_and_only_once() {
        let action = withdraw(Some(&chain(|_| ())), at(0));
        assert!(matches!(action, Some(NetworkAction::UpdateOffer { available: 0, price: 10, .. })));
        assert_eq!(withdraw(Some(&chain(|c| c.available = 0)), at(0)), None);
        assert_eq!(withdraw(Some(&chain(|c| c.valid_until = at(10))), at(10)), None, "it has lapsed");
        assert_eq!(withdraw(None, at(0)), None);
    }
}
