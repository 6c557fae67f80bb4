//! Does what was decided of an offer: transactions, the object's end, numbers.

use hawser_crds::GpuOffer;
use kube::{Api, Resource};

use super::cleanup;
use super::dereference::{OfferObservation, OfferOnMarket};
use super::leave::{LeaveStep, Stake};
use super::memory::OfferContext;
use crate::controllers::watch::name_of;
use crate::controllers::{Error, OFFER_FINALIZER, abandon, status_writer};
use crate::metrics::Metrics;
use crate::network::NetworkAction;

/// Requests transactions.
pub(crate) fn request(context: &OfferContext, offer: &GpuOffer, seen: &OfferObservation, actions: &[NetworkAction]) {
    if let OfferOnMarket::Read(read) = &seen.market {
        context.memory.note_id(read.id.clone(), offer);
    }
    let Some(network) = context.shared.networks.get(&offer.spec.network_ref) else { return };
    for action in actions {
        network.request(action.clone());
    }
}

/// Lets the object go; false where it stays.
pub(crate) async fn leave(
    api: &Api<GpuOffer>,
    offer: &GpuOffer,
    seen: &OfferObservation,
    step: &LeaveStep,
    context: &OfferContext,
) -> Result<bool, Error> {
    match step {
        LeaveStep::Stay(_) => return Ok(false),
        LeaveStep::Go => {}
        LeaveStep::GiveUp => {
            let what = abandon::of_offer(offer, seen.jobs);
            abandon::write_down(&context.shared, "GpuOffer", &offer.object_ref(&()), &what).await;
        }
    }
    let name = name_of(offer);
    cleanup::tidy(&name, &seen.around, &context.shared).await;
    status_writer::set_finalizer(api, offer, OFFER_FINALIZER, false).await?;
    context.shared.metrics.forget_offer(&name.0, &name.1);
    context.memory.forget(&name.0, &name.1);
    context.memory.forget_withdrawn(Stake::stored(offer).on_network());
    Ok(true)
}

/// What the offer has earned, as numbers.
pub(crate) fn measure(offer: &GpuOffer, seen: &OfferObservation, metrics: &Metrics) {
    if let OfferOnMarket::Read(read) = &seen.market
        && let (Some(chain), Ok((_, token))) = (&read.chain, &read.asked)
    {
        metrics.offer(offer, token, seen.pending, chain.settled_amount);
    }
}
