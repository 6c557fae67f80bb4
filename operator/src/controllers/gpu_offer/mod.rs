//! An offer: counts the GPUs that are free, and keeps the market's record of the offer true.

pub(crate) mod capacity;
mod dereference;
mod publish;
mod report;
pub(crate) mod terms;

use std::sync::Arc;
use std::time::Duration;

use hawser_crds::GpuOffer;
use kube::core::DeserializeGuard;
use kube::runtime::controller::Action;
use kube::{Api, Resource, ResourceExt};

use super::conditions::news;
use super::watch::name_of;
use super::{Context, Error, OFFER_FINALIZER, status};
use crate::network::Act;
use dereference::{Market, Observed};

pub(crate) const KIND: &str = "GpuOffer";

/// While the chain does not hold what it should.
const AWAITED: Duration = Duration::from_secs(2);
/// Otherwise: somebody else may have changed the offer with the provider's cold key.
const STEADY: Duration = Duration::from_mins(1);

/// Looks at an offer and takes its next step.
pub(crate) async fn reconcile(
    guarded: Arc<DeserializeGuard<GpuOffer>>,
    context: Arc<Context>,
) -> Result<Action, Error> {
    context.metrics.reconciles(KIND).inc();
    context.ready().await?;
    let Ok(offer) = &guarded.0 else { return Ok(Action::await_change()) };
    let namespace = offer.namespace().ok_or(Error::Unnamed("namespace"))?;
    let api: Api<GpuOffer> = Api::namespaced(context.client.clone(), &namespace);
    let leaving = offer.metadata.deletion_timestamp.is_some();
    if !leaving {
        // Before it stands on chain: it can't be deleted without being withdrawn.
        status::set_finalizer(&api, offer, OFFER_FINALIZER, true).await?;
    }

    let seen = dereference::dereference(offer, &context).await?;
    let acts = acts(offer, &seen, leaving);
    request(&context, offer, &seen, &acts);
    let next = report::status(offer, &seen, acts.is_empty());
    status::write(&api, offer, offer.status.as_ref(), &next).await?;
    if let Market::Read { chain: Some(chain), token, .. } = &seen.market {
        context.metrics.offer(offer, token, seen.pending, chain.settled_amount);
    }
    let stored = offer.status.clone().unwrap_or_default();
    context.events.conditions(&offer.object_ref(&()), &news(&stored.conditions, &next.conditions)).await;

    if leaving && acts.is_empty() && seen.jobs == 0 && seen.market.is_readable() && orders_are_read(&seen, &context) {
        status::set_finalizer(&api, offer, OFFER_FINALIZER, false).await?;
        context.metrics.forget_offer(offer);
        return Ok(Action::await_change());
    }
    Ok(Action::requeue(if acts.is_empty() && !leaving { STEADY } else { AWAITED }))
}

/// Every order that came before the market heard that the offer takes none is read.
fn orders_are_read(seen: &Observed, context: &Context) -> bool {
    let Market::Read { network, wanted, chain, .. } = &seen.market else { return true };
    let observed = network.observed();
    let (head, cursor) = {
        let observed = observed.borrow();
        (observed.head.map_or(0, |h| h.block.number), observed.cursor.map_or(0, |c| c.number))
    };
    if chain.is_none() {
        return true;
    }
    context.memory.withdrawn(wanted.terms.id(), true, head).is_none_or(|block| cursor >= block)
}

/// What has to be said on chain.
fn acts(offer: &GpuOffer, seen: &Observed, leaving: bool) -> Vec<Act> {
    let Market::Read { wanted, chain, replaced, .. } = &seen.market else { return Vec::new() };
    let mut acts: Vec<Act> = publish::withdraw(replaced.as_ref(), seen.now).into_iter().collect();
    if leaving {
        acts.extend(publish::withdraw(chain.as_ref(), seen.now));
    } else {
        let posted = offer.status.as_ref().and_then(|s| s.on_chain.as_ref()?.card_hash.clone());
        acts.extend(publish::acts(wanted, chain.as_ref(), seen.posted_card.as_deref().or(posted.as_deref()), seen.now));
    }
    acts
}

fn request(context: &Context, offer: &GpuOffer, seen: &Observed, acts: &[Act]) {
    let Market::Read { network, wanted, .. } = &seen.market else { return };
    let id = wanted.terms.id();
    context.memory.learn_offer(id, offer);
    for act in acts {
        network.request(act.clone());
    }
}

/// What to do after a failed reconcile: try again, later each time.
#[expect(clippy::needless_pass_by_value, reason = "the signature that Controller::run takes")]
pub(crate) fn failed(guarded: Arc<DeserializeGuard<GpuOffer>>, error: &Error, context: Arc<Context>) -> Action {
    context.metrics.errors(KIND).inc();
    tracing::warn!(offer = %guarded.name_any(), namespace = guarded.namespace(), %error, "reconcile failed");
    Action::requeue(context.backoffs.failed(KIND, name_of(&*guarded)))
}
