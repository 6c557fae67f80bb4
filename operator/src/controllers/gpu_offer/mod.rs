//! An offer: counts the GPUs that are free, and keeps the market's record of the offer true.
//!
//! A look: `probe` (what is tried on the cluster) -> `dereference` (what is) -> `observe` (what was, and what the market is
//! to be told) -> `decide` with `publish` and `leave` (pure) -> `apply` (transactions, the object's end), `status`.

mod admission;
mod allowance;
mod apply;
pub(crate) mod around;
pub(crate) mod budget;
mod ca;
mod canary;
pub(crate) mod claims;
mod cleanup;
mod decide;
mod dereference;
pub(crate) mod leave;
pub(crate) mod memory;
pub(crate) mod observe;
mod pace;
mod probe;
mod publish;
mod rights;
pub(crate) mod serves;
mod status;
pub(crate) mod terms;
pub(crate) mod worth;

use std::sync::Arc;

use hawser_crds::condition::READY;
use hawser_crds::{GpuOffer, GpuOfferStatus};
use jiff::{Timestamp, Unit};
use kube::core::DeserializeGuard;
use kube::{Api, Resource, ResourceExt};
use tracing::{Span, info_span};

use super::conditions::transitions;
use super::look::Action;
use super::watch::name_of;
use super::{Error, OFFER_FINALIZER, abandon, allocation, status_writer, unreadable};
use dereference::OfferObservation;
use leave::Stake;
use memory::OfferContext;

pub(crate) const KIND: &str = "GpuOffer";

/// What every line that is logged of a look says.
pub(crate) fn span(offer: &DeserializeGuard<GpuOffer>) -> Span {
    let (namespace, name) = name_of(offer);
    let network = offer.0.as_ref().ok().map(|offer| offer.spec.network_ref.as_str());
    info_span!("reconcile", kind = KIND, namespace, offer = name, network)
}

/// Looks at an offer and takes its next step.
pub(crate) async fn reconcile(
    guarded: Arc<DeserializeGuard<GpuOffer>>,
    context: Arc<OfferContext>,
) -> Result<Action, Error> {
    let (shared, memory) = (&*context.shared, &*context.memory);
    shared.metrics.reconciles(KIND).inc();
    shared.ready().await?;
    let (_busy, _timed) = (shared.work.begin(KIND), shared.metrics.timed(KIND));
    let offer = match &guarded.0 {
        Ok(offer) => offer,
        Err(invalid) => return unreadable::offer(invalid, &context).await,
    };
    unreadable::note_readable(&offer.metadata, shared);
    let (namespace, name) = (offer.namespace().ok_or(Error::Unnamed("namespace"))?, offer.name_any());
    let api: Api<GpuOffer> = Api::namespaced(shared.client.clone(), &namespace);
    let is_leaving = offer.metadata.deletion_timestamp.is_some();
    if !is_leaving {
        // Before it stands on chain: it can't be deleted without being withdrawn.
        status_writer::set_finalizer(&api, offer, OFFER_FINALIZER, true).await?;
        // It may take orders again.
        memory.forget_withdrawn(Stake::stored(offer).on_network());
    }
    memory.learn(offer);

    let seen = look(offer, &context).await;
    ca::look(offer, seen.jobs, &context).await;
    let statement = observe::commit(offer, &seen, memory);
    let card = decide::card_to_post(offer, &seen, &statement);
    let may_post = card.is_some_and(|card| observe::grant_post(offer, &card, memory));
    let leaving = if is_leaving {
        let stake = leave::stake(offer, shared);
        let read = leave::read(&stake, shared).await;
        Some(leave::leaving(offer, &seen, observe::standing(&stake, read, memory)))
    } else {
        None
    };
    let decision = decide::decide(offer, &seen, &statement, may_post, leaving.as_ref());
    if let Some(step) = &decision.leaves
        && apply::leave(&api, offer, &seen, step, &context).await?
    {
        return Ok(Action::await_change());
    }

    apply::request(&context, offer, &seen, &decision.updates);
    let spending = memory.peek(&namespace, &name, |offer| offer.spending(seen.now));
    let next = status::status(offer, &seen, &statement, &decision);
    let mut next = GpuOfferStatus { spending, ..next };
    abandon::warn_of(&offer.metadata, &mut next.conditions, READY);
    shared.metrics.record_offer(offer, &next);
    status_writer::write(&api, offer, offer.status.as_ref(), &next).await?;
    // Its id is written down by now: whatever becomes of this process and the offer's terms, somebody knows what is sold.
    apply::request(&context, offer, &seen, &decision.posts);
    apply::measure(offer, &seen, &shared.metrics);
    let stored = offer.status.clone().unwrap_or_default();
    shared.events.conditions(&offer.object_ref(&()), &transitions(&stored.conditions, &next.conditions)).await;
    Ok(Action::requeue(decision.again))
}

/// Everything that is seen of an offer, with what is due to be tried, and what was seen before.
async fn look(offer: &GpuOffer, context: &OfferContext) -> OfferObservation {
    let availability = allocation::availability(offer, &context.shared);
    let now = Timestamp::now().round(Unit::Second).unwrap_or_else(|_| Timestamp::now());
    let probed = probe::probe(offer, &availability, now, context).await;
    let mut seen = dereference::dereference(offer, (availability, probed), now, context).await;
    observe::note(offer, &mut seen, &context.memory);
    seen
}
