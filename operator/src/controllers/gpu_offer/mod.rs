//! An offer: counts the GPUs that are free, and keeps the market's record of the offer true.

mod admission;
mod allowance;
pub(crate) mod around;
pub(crate) mod budget;
mod ca;
mod canary;
pub(crate) mod claims;
mod dereference;
mod last;
pub(crate) mod leave;
pub(crate) mod memory;
mod pace;
mod publish;
mod rights;
pub(crate) mod serves;
mod status;
pub(crate) mod terms;
pub(crate) mod worth;

use std::sync::Arc;
use std::time::Duration;

use hawser_crds::condition::READY;
use hawser_crds::{GpuOffer, GpuOfferStatus};
use hawser_market::OfferId;
use jiff::Timestamp;
use kube::core::DeserializeGuard;
use kube::{Api, Resource, ResourceExt};
use tracing::{Span, info_span};

use super::conditions::news;
use super::look::Action;
use super::watch::name_of;
use super::{Error, OFFER_FINALIZER, abandon, status_writer, unreadable};
use crate::metrics::Metrics;
use crate::network::Act;
use allowance::Now;
use dereference::{Market, Observed, Read};
use leave::{Leaving, Stake, Stand, Step};
use memory::{OfferContext, OfferMemory, Remembered, Statement};

pub(crate) const KIND: &str = "GpuOffer";

/// What every line that is logged of a look says.
pub(crate) fn span(offer: &DeserializeGuard<GpuOffer>) -> Span {
    let (namespace, name) = name_of(offer);
    let network = offer.0.as_ref().ok().map(|offer| offer.spec.network_ref.as_str());
    info_span!("reconcile", kind = KIND, namespace, offer = name, network)
}

/// While the chain does not hold what it should, or something in the way is about to count.
const AWAITED: Duration = Duration::from_secs(2);
/// While the market says less than could be served: it rises after a while.
const RISING: Duration = Duration::from_secs(10);
/// Otherwise: somebody else may have changed the offer with the provider's cold key.
const STEADY: Duration = Duration::from_mins(1);

/// Looks at an offer and takes its next step.
pub(crate) async fn reconcile(
    guarded: Arc<DeserializeGuard<GpuOffer>>,
    context: Arc<OfferContext>,
) -> Result<Action, Error> {
    let shared = &*context.shared;
    shared.metrics.reconciles(KIND).inc();
    shared.ready().await?;
    let (_busy, _timed) = (shared.work.begin(KIND), shared.metrics.timed(KIND));
    let offer = match &guarded.0 {
        Ok(offer) => offer,
        Err(invalid) => return unreadable::offer(invalid, &context).await,
    };
    unreadable::was_read(&offer.metadata, shared);
    let namespace = offer.namespace().ok_or(Error::Unnamed("namespace"))?;
    let api: Api<GpuOffer> = Api::namespaced(shared.client.clone(), &namespace);
    let leaving = offer.metadata.deletion_timestamp.is_some();
    if !leaving {
        // Before it stands on chain: it can't be deleted without being withdrawn.
        status_writer::set_finalizer(&api, offer, OFFER_FINALIZER, true).await?;
        // It may take orders again.
        context.memory.forget_withdrawn(stake(offer).seen.into_iter());
    }

    context.memory.learn(offer);
    let seen = dereference::dereference(offer, &context).await;
    ca::look(offer, seen.jobs, &context).await;
    let statement = statement(offer, &seen, &context.memory);
    let mut acts = acts(offer, &seen, &statement, &context.memory);
    let mut stays = None;
    if leaving {
        match leave(offer, &seen, &context).await {
            (Step::Go, _) => return go(&api, offer, &seen, &context).await,
            (Step::GiveUp, _) => {
                abandon::write_down(shared, "GpuOffer", &offer.object_ref(&()), &abandon::of_offer(offer, seen.jobs))
                    .await;
                return go(&api, offer, &seen, &context).await;
            }
            (Step::Stay(why), open) => {
                acts = open;
                stays = Some(why);
            }
        }
    }
    let (posts, others): (Vec<Act>, Vec<Act>) = acts.into_iter().partition(|act| matches!(act, Act::SetOffer(_)));
    let as_wanted = posts.is_empty() && others.is_empty();
    request(&context, offer, &seen, &others);
    let spending = remembered(offer, &context.memory, |offer| offer.spending(seen.now));
    let next = status::status(offer, &seen, &statement, as_wanted, posting(&posts), stays.as_deref());
    let mut next = GpuOfferStatus { spending, ..next };
    abandon::warn_of(&offer.metadata, &mut next.conditions, READY);
    shared.metrics.offer_says(offer, &next);
    status_writer::write(&api, offer, offer.status.as_ref(), &next).await?;
    // Its id is written down by now: whatever becomes of this process and the offer's terms, somebody knows what is sold.
    request(&context, offer, &seen, &posts);
    measure(offer, &seen, &shared.metrics);
    let stored = offer.status.clone().unwrap_or_default();
    shared.events.conditions(&offer.object_ref(&()), &news(&stored.conditions, &next.conditions)).await;
    Ok(Action::requeue(again(&seen, &statement, as_wanted && !leaving)))
}

/// What the market is to be told of the offer's GPUs.
fn statement(offer: &GpuOffer, seen: &Observed, memory: &OfferMemory) -> Statement {
    let standing = match &seen.market {
        Market::Read(read) => read.chain.as_ref().map(|chain| chain.available),
        // Nothing can be said now, and so nothing is told.
        _ => stored_available(offer),
    };
    let could = seen.offered.largest_order;
    remembered(offer, memory, |offer| offer.commit(standing, could, seen.obstacle.clone(), Now::read()))
}

fn stored_available(offer: &GpuOffer) -> Option<u16> {
    let on_chain = offer.status.as_ref()?.on_chain.as_ref()?;
    Some(u16::try_from(on_chain.available).unwrap_or(u16::MAX))
}

fn remembered<T>(offer: &GpuOffer, memory: &OfferMemory, look: impl FnOnce(&mut Remembered) -> T) -> T {
    memory.with(&offer.namespace().unwrap_or_default(), &offer.name_any(), look)
}

/// What has to be said on chain.
fn acts(offer: &GpuOffer, seen: &Observed, statement: &Statement, memory: &OfferMemory) -> Vec<Act> {
    let Market::Read(read) = &seen.market else { return Vec::new() };
    let mut acts: Vec<Act> =
        read.earlier.iter().filter_map(|earlier| publish::withdraw(Some(earlier), seen.chain_time)).collect();
    acts.extend(match (&statement.obstacle, &read.asked) {
        (None, Ok((wanted, _))) => {
            let wanted = publish::Wanted { available: statement.available, ..wanted.clone() };
            let posted = offer.status.as_ref().and_then(|s| s.on_chain.as_ref()?.card_hash.clone());
            let posted = seen.posted_card.as_deref().or(posted.as_deref());
            let may_post = grant_post(offer, read, &wanted, posted, memory);
            publish::acts(&wanted, read.chain.as_ref(), posted, may_post, seen.chain_time)
        }
        // Something passing, that does not count yet: only less is said.
        (None, Err(_)) => lower(read, statement.available, seen.chain_time).into_iter().collect(),
        // What can't be served is not posted, and what stands is taken back.
        (Some(_), _) => publish::withdraw(read.chain.as_ref(), seen.chain_time).into_iter().collect(),
    });
    acts
}

/// The id under which an offer is to be posted.
fn posting(posts: &[Act]) -> Option<OfferId> {
    posts.iter().find_map(|act| if let Act::SetOffer(post) = act { Some(post.terms.id()) } else { None })
}

fn grant_post(
    offer: &GpuOffer,
    read: &Read,
    wanted: &publish::Wanted,
    posted: Option<&str>,
    memory: &OfferMemory,
) -> bool {
    let hash = publish::card_hash(&wanted.card);
    if read.chain.is_some() && posted == Some(hash.as_str()) {
        return false;
    }
    let observed = offer.status.as_ref().and_then(|status| status.observed_generation);
    let by_owner = observed != offer.metadata.generation;
    remembered(offer, memory, |offer| offer.pace.grant_post(&hash, by_owner, Now::read()))
}

fn lower(read: &Read, available: u16, now: Timestamp) -> Option<Act> {
    let chain = read.chain.as_ref().filter(|chain| chain.available > available && chain.valid_until > now)?;
    Some(Act::UpdateOffer { offer: chain.id, price: chain.price, available, valid_until: chain.valid_until })
}

/// Whether an offer that is being deleted can go, and what has to be said on chain before.
async fn leave(offer: &GpuOffer, seen: &Observed, context: &OfferContext) -> (Step, Vec<Act>) {
    let network = &offer.spec.network_ref;
    let computed = context.shared.networks.get(network).and_then(|network| {
        let terms = terms::terms(offer, network.spec(), &context.shared.cluster);
        terms.ok().map(|terms| terms.id())
    });
    let stake = Stake { computed, ..stake(offer) };
    let stand = leave::stand(&stake, context).await;
    let open = if let Stand::Open(acts) = &stand { acts.clone() } else { Vec::new() };
    let abandoned = abandon::is_asked(&offer.metadata);
    let leaving = Leaving { stand, jobs: seen.jobs, unreadable: seen.unreadable, abandoned };
    (leave::step(&leaving), open)
}

/// Lets the object go.
async fn go(api: &Api<GpuOffer>, offer: &GpuOffer, seen: &Observed, context: &OfferContext) -> Result<Action, Error> {
    last::tidy(&name_of(offer), &seen.around, &context.shared).await;
    status_writer::set_finalizer(api, offer, OFFER_FINALIZER, false).await?;
    context.shared.metrics.forget_offer(&offer.namespace().unwrap_or_default(), &offer.name_any());
    context.memory.forget(&offer.namespace().unwrap_or_default(), &offer.name_any());
    context.memory.forget_withdrawn(stake(offer).seen.into_iter());
    Ok(Action::await_change())
}

/// What may stand on chain of it, by its status.
fn stake(offer: &GpuOffer) -> Stake {
    Stake::of(&offer.spec.network_ref, None, offer.status.as_ref())
}

fn request(context: &OfferContext, offer: &GpuOffer, seen: &Observed, acts: &[Act]) {
    if let Market::Read(read) = &seen.market {
        context.memory.note_id(read.id, offer);
    }
    let Some(network) = context.shared.networks.get(&offer.spec.network_ref) else { return };
    for act in acts {
        network.request(act.clone());
    }
}

fn measure(offer: &GpuOffer, seen: &Observed, metrics: &Metrics) {
    if let Market::Read(read) = &seen.market
        && let (Some(chain), Ok((_, token))) = (&read.chain, &read.asked)
    {
        metrics.offer(offer, token, seen.pending, chain.settled_amount);
    }
}

fn again(seen: &Observed, statement: &Statement, as_wanted: bool) -> Duration {
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

/// What to do after a failed reconcile: try again, later each time.
#[expect(clippy::needless_pass_by_value, reason = "the signature that Controller::run takes")]
pub(crate) fn failed(guarded: Arc<DeserializeGuard<GpuOffer>>, error: &Error, context: Arc<OfferContext>) -> Action {
    context.shared.metrics.errors(KIND).inc();
    tracing::warn!(offer = %guarded.name_any(), namespace = guarded.namespace(), %error, "reconcile failed");
    Action::requeue(context.shared.backoffs.failed(KIND, name_of(&*guarded)))
}
