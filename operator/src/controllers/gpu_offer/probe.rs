//! What is found out about an offer's namespace by trying, now and then: what this operator may do there, what a canary
//! reaches, and whether the API server would take an order. Pods are sent and orders shown, so this is no reading.

use hawser_crds::GpuOffer;
use jiff::Timestamp;
use kube::ResourceExt;

use super::around::Around;
use super::memory::OfferContext;
use super::{admission, canary};
use crate::controllers::allocation::Availability;
use crate::controllers::compute_job::NotTaken;

/// What is known of it after this look.
pub(crate) struct Probed {
    pub around: Around,
    /// What the offer's canary found.
    pub network: canary::CanaryFinding,
    /// What the API server says against orders.
    pub refused: Option<NotTaken>,
}

/// Tries what is due.
pub(crate) async fn probe(
    offer: &GpuOffer,
    availability: &Availability,
    now: Timestamp,
    context: &OfferContext,
) -> Probed {
    let surroundings = &context.shared.around;
    surroundings.rights.ask(&offer.namespace().unwrap_or_default()).await;
    let around = surroundings.of(offer);
    let network = canary::look(offer, &around, now, context).await;
    // The canary holds a part of the namespace's quota for a moment.
    let sells = availability.offered.largest_order > 0 && !network.under_way;
    let refused = admission::look(offer, &around, sells, availability.active, context).await;
    Probed { around, network, refused }
}
