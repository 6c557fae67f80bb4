//! What an offer's next step is, from what is seen of it and what the market is to be told. Pure.

use std::time::Duration;

use hawser_crds::GpuOffer;
use jiff::Timestamp;

use super::dereference::{OfferObservation, OfferOnMarket, Read};
use super::leave::{self, LeaveStep, Leaving, MarketStanding};
use super::memory::Statement;
use super::publish::{self, Wanted};
use crate::network::{NetworkAction, OfferId};

/// While the chain does not hold what it should, or something in the way is about to count.
const AWAITED: Duration = Duration::from_secs(2);
/// While the market says less than could be served: it rises after a while.
const RISING: Duration = Duration::from_secs(10);
/// Otherwise: somebody else may have changed the offer with the provider's cold key.
const STEADY: Duration = Duration::from_mins(1);

/// What to do now.
#[derive(Clone, Debug)]
pub(crate) struct Decision {
    /// Posts: requested once their ids stand in the status.
    pub posts: Vec<NetworkAction>,
    /// What else has to be said on chain.
    pub updates: Vec<NetworkAction>,
    /// What becomes of an offer that is being deleted; none for one that is not.
    pub leaves: Option<LeaveStep>,
    /// Look again after this, even if nothing changes.
    pub again: Duration,
}

/// A card to be posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CardToPost {
    pub hash: String,
    /// The offer's owner has changed it, and not the nodes.
    pub by_owner: bool,
}

impl Decision {
    /// Chain and wish are the same.
    pub(crate) fn is_as_wanted(&self) -> bool {
        self.posts.is_empty() && self.updates.is_empty()
    }

    /// Why an offer that is being deleted stays.
    pub(crate) fn stays(&self) -> Option<&str> {
        if let Some(LeaveStep::Stay(why)) = &self.leaves { Some(why) } else { None }
    }

    /// The id under which the offer is to be posted.
    pub(crate) fn posting(&self) -> Option<OfferId> {
        self.posts
            .iter()
            .find_map(|action| if let NetworkAction::SetOffer(post) = action { Some(post.offer.clone()) } else { None })
    }
}

/// Decides. `may_post`: the card that [`card_to_post`] names can be posted now. `leaving`: the offer is being deleted.
pub(crate) fn decide(
    offer: &GpuOffer,
    seen: &OfferObservation,
    statement: &Statement,
    may_post: bool,
    leaving: Option<&Leaving>,
) -> Decision {
    let actions = match leaving.map(|leaving| &leaving.stand) {
        Some(MarketStanding::Open(actions)) => actions.clone(),
        Some(MarketStanding::Never | MarketStanding::Closed { .. } | MarketStanding::Unknown(_)) => Vec::new(),
        None => actions(offer, seen, statement, may_post),
    };
    let (posts, updates): (Vec<NetworkAction>, Vec<NetworkAction>) =
        actions.into_iter().partition(|action| matches!(action, NetworkAction::SetOffer(_)));
    let as_wanted = posts.is_empty() && updates.is_empty();
    Decision {
        leaves: leaving.map(leave::step),
        again: again(seen, statement, as_wanted && leaving.is_none()),
        posts,
        updates,
    }
}

/// The card that differs from the one that was posted; none where nothing is to be posted.
pub(crate) fn card_to_post(offer: &GpuOffer, seen: &OfferObservation, statement: &Statement) -> Option<CardToPost> {
    let OfferOnMarket::Read(read) = &seen.market else { return None };
    let (None, Ok((wanted, _))) = (&statement.obstacle, &read.asked) else { return None };
    let hash = publish::card_hash(&wanted.card);
    if read.chain.is_some() && posted_card(offer, seen).as_deref() == Some(hash.as_str()) {
        return None;
    }
    let observed = offer.status.as_ref().and_then(|status| status.observed_generation);
    Some(CardToPost { hash, by_owner: observed != offer.metadata.generation })
}

fn posted_card(offer: &GpuOffer, seen: &OfferObservation) -> Option<String> {
    let stored = || offer.status.as_ref()?.on_chain.as_ref()?.card_hash.clone();
    seen.posted_card.clone().or_else(stored)
}

/// What has to be said on chain.
fn actions(offer: &GpuOffer, seen: &OfferObservation, statement: &Statement, may_post: bool) -> Vec<NetworkAction> {
    let OfferOnMarket::Read(read) = &seen.market else { return Vec::new() };
    let mut actions: Vec<NetworkAction> =
        read.earlier.iter().filter_map(|earlier| publish::withdraw(Some(earlier), seen.chain_time)).collect();
    actions.extend(match (&statement.obstacle, &read.asked) {
        (None, Ok((wanted, _))) => {
            let wanted = Wanted { available: statement.available.min(read.most_gpus), ..wanted.clone() };
            let posted = posted_card(offer, seen);
            publish::actions(&wanted, read.chain.as_ref(), posted.as_deref(), may_post, seen.chain_time)
        }
        // Something passing, that does not count yet: only less is said.
        (None, Err(_)) => lower(read, statement.available, seen.chain_time).into_iter().collect(),
        // What can't be served is not posted, and what stands is taken back.
        (Some(_), _) => publish::withdraw(read.chain.as_ref(), seen.chain_time).into_iter().collect(),
    });
    actions
}

fn lower(read: &Read, available: u16, now: Timestamp) -> Option<NetworkAction> {
    let chain = read.chain.as_ref().filter(|chain| chain.available > available && chain.valid_until > now)?;
    let (offer, price, valid_until) = (chain.id.clone(), chain.price, chain.valid_until);
    Some(NetworkAction::UpdateOffer { offer, price, available, valid_until })
}

fn again(seen: &OfferObservation, statement: &Statement, as_wanted: bool) -> Duration {
    if !as_wanted || seen.network.under_way || seen.obstacle.is_some() && statement.obstacle.is_none() {
        AWAITED
    } else if seen.around.denied.is_some()
        || statement.obstacle.is_none() && statement.available < seen.offered.largest_order
    {
        RISING
    } else {
        STEADY
    }
}

#[cfg(test)]
#[path = "decide_tests.rs"]
pub(super) mod tests;
