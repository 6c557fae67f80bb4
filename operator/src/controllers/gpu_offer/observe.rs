//! Takes down what was read of an offer, and settles what the market is to be told: what was told lately counts for that.
//!
//! `dereference` (what is) -> `observe` (what was, and is spent) -> `decide`.

use hawser_crds::GpuOffer;

use super::allowance::Now;
use super::decide::CardToPost;
use super::dereference::{OfferObservation, OfferOnMarket};
use super::leave::{MarketStanding, Stake, StakeRead};
use super::memory::{OfferMemory, Remembered, Statement};
use crate::controllers::watch::name_of;
use crate::network::On;

fn remembered<T>(offer: &GpuOffer, memory: &OfferMemory, look: impl FnOnce(&mut Remembered) -> T) -> T {
    let (namespace, name) = name_of(offer);
    memory.with(&namespace, &name, look)
}

/// Takes down which of its terms take no orders; those that never will again are not looked at any more.
pub(crate) fn note(offer: &GpuOffer, seen: &mut OfferObservation, memory: &OfferMemory) {
    let Some(present) = &seen.terms_seen.present else { return };
    let mut closed = Vec::new();
    remembered(offer, memory, |remembered| {
        remembered.note_present(present);
        for missed in &seen.terms_seen.missed {
            remembered.note_missed(&missed.id, missed.on_its_way, missed.head);
            if !remembered.may_come(&missed.id, missed.head, missed.lapses_after) {
                remembered.note_closed(&missed.id);
                closed.push(&missed.id);
            }
        }
    });
    if let OfferOnMarket::Read(read) = &mut seen.market {
        read.open.retain(|id| !closed.contains(&id));
    }
}

/// Takes down since when the market shows that an offer that is being deleted takes no orders, and gives where it stands.
pub(crate) fn standing(stake: &Stake, read: StakeRead, memory: &OfferMemory) -> MarketStanding {
    match read {
        StakeRead::Never => MarketStanding::Never,
        StakeRead::Unknown(why) => MarketStanding::Unknown(why),
        StakeRead::Open(actions) => {
            memory.forget_withdrawn(stake.on_network());
            MarketStanding::Open(actions)
        }
        StakeRead::Closed { head, cursor } => {
            // One id after the other: the next is taken down once the orders of the one before are read.
            let orders_read = stake.seen.iter().all(|id| {
                let id = &On::new(&stake.network, id.clone());
                memory.note_withdrawn(id, head);
                // Every order that came before the market heard that the offer takes none is read. What was never seen on
                // chain took no orders; asked for and mined this moment, it is seen at the next look.
                memory.withdrawn_since(id).is_some_and(|since| cursor >= since)
            });
            MarketStanding::Closed { orders_read }
        }
    }
}

/// Settles what the market is to be told of the offer's GPUs.
pub(crate) fn commit(offer: &GpuOffer, seen: &OfferObservation, memory: &OfferMemory) -> Statement {
    let standing = match &seen.market {
        OfferOnMarket::Read(read) => read.chain.as_ref().map(|chain| chain.available),
        // Nothing can be said now, and so nothing is told.
        _ => stored_available(offer),
    };
    let could = seen.offered.largest_order;
    remembered(offer, memory, |offer| offer.commit(standing, could, seen.obstacle.clone(), Now::read()))
}

/// Whether a card can be posted now, which is spent then.
pub(crate) fn grant_post(offer: &GpuOffer, card: &CardToPost, memory: &OfferMemory) -> bool {
    remembered(offer, memory, |offer| offer.pace.grant_post(&card.hash, card.by_owner, Now::read()))
}

fn stored_available(offer: &GpuOffer) -> Option<u16> {
    let on_chain = offer.status.as_ref()?.on_chain.as_ref()?;
    Some(u16::try_from(on_chain.available).unwrap_or(u16::MAX))
}

#[cfg(test)]
#[path = "observe_tests.rs"]
mod tests;
