//! Reads what an offer rests on: nodes and pods from the caches, the token and the offer from the chain.

use hawser_contracts::OfferId;
use hawser_crds::GpuOffer;
use jiff::{Timestamp, Unit};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::node::v1::RuntimeClass;
use kube::{Api, ResourceExt};

use super::capacity::{Capacity, Offered};
use super::publish::{self, Wanted, card_hash};
use super::terms::{self, OfferSpecError};
use crate::controllers::compute_job::vacancy;
use crate::controllers::{Context, Error, Tried};
use crate::network::{ActKey, ActState, ChainOffer, Network, NetworkError, Token};
use crate::settlement::Pending;

/// Everything that a decision about an offer rests on.
pub(crate) struct Observed {
    pub capacity: Capacity,
    pub offered: Offered,
    /// Jobs of the offer that are not over, and so are not settled, or are settled and deleted.
    pub jobs: u32,
    /// What its jobs have earned and is not claimed.
    pub pending: Pending,
    pub market: Market,
    /// Hash of the card that is known to be posted.
    pub posted_card: Option<String>,
    /// The `RuntimeClass` that the jobs' pods get exists.
    pub runtime_class: Option<String>,
    pub restricted: bool,
    pub now: Timestamp,
}

/// What is known of the offer on chain.
#[expect(clippy::large_enum_variant, reason = "one value a reconcile")]
pub(crate) enum Market {
    /// Not now: why, as reason and message.
    Unknown(&'static str, String),
    /// A field of the offer can't be used.
    Invalid(OfferSpecError),
    /// As the market holds it.
    Read {
        network: Network,
        wanted: Box<Wanted>,
        chain: Option<ChainOffer>,
        /// The offer of earlier terms.
        replaced: Option<ChainOffer>,
        token: Token,
        /// What the market or the wallet said against it.
        obstacle: Option<String>,
    },
}

impl Market {
    pub(crate) const fn is_readable(&self) -> bool {
        matches!(self, Self::Read { .. } | Self::Invalid(_))
    }
}

/// Reads everything once.
pub(crate) async fn dereference(offer: &GpuOffer, context: &Context) -> Result<Observed, Error> {
    let (capacity, offered, active) = vacancy::of_offer(offer, context);
    let namespace = offer.namespace().unwrap_or_default();
    let namespaces: Api<Namespace> = Api::all(context.client.clone());
    let labels = namespaces.get_opt(&namespace).await.tried(|| format!("namespace {namespace}"))?;
    let classes: Api<RuntimeClass> = Api::all(context.client.clone());
    let class = offer.spec.isolation.runtime_class_name.as_deref().unwrap_or("nvidia");
    let class = classes.get_opt(class).await.tried(|| format!("RuntimeClass {class}"))?;
    let market = market(offer, offered.largest_order, context).await;
    let posted_card = posted_card(offer, &market, context);
    let name = vacancy::name_of(offer);
    let (unsettled, pending) = context.stock.read(|stock| (stock.unsettled(&name), stock.pending(&name)));
    Ok(Observed {
        capacity,
        offered,
        jobs: active.max(unsettled),
        pending,
        market,
        posted_card,
        runtime_class: class.map(|c| c.name_any()),
        restricted: labels
            .is_some_and(|ns| ns.labels().get("pod-security.kubernetes.io/enforce").is_some_and(|l| l == "restricted")),
        now: Timestamp::now().round(Unit::Second).unwrap_or_else(|_| Timestamp::now()),
    })
}

async fn market(offer: &GpuOffer, available: u16, context: &Context) -> Market {
    let name = &offer.spec.network_ref;
    let Some(network) = context.networks.get(name) else {
        return Market::Unknown("NetworkNotReady", format!("DepinNetwork {name:?} is not ready: see its conditions"));
    };
    match read(offer, available, context, network).await {
        Ok(Ok(market)) => market,
        Ok(Err(invalid)) => Market::Invalid(invalid),
        Err(error) => Market::Unknown("NetworkUnavailable", error.to_string()),
    }
}

async fn read(
    offer: &GpuOffer,
    available: u16,
    context: &Context,
    network: Network,
) -> Result<Result<Market, OfferSpecError>, NetworkError> {
    let terms = match terms::terms(offer, network.spec(), &context.cluster) {
        Ok(terms) => terms,
        Err(error) => return Ok(Err(error)),
    };
    let token = network.token(terms.token).await?;
    let card = context.stock.read(|stock| {
        let first = stock.nodes_of(&offer.spec.gpu).next().map(|(_, node)| node);
        terms::card(offer, first, &context.config.evidence_public_url)
    });
    let (price, card) = match (terms::price(&offer.spec, token.decimals), card) {
        (Ok(price), Ok(card)) => (price, card),
        (Err(error), _) | (_, Err(error)) => return Ok(Err(error)),
    };
    let id = terms.id();
    let stored = offer.status.as_ref().and_then(|s| s.on_chain.as_ref());
    let replaced = match publish::replaced(stored, id) {
        Some(old) => network.offer(old).await?,
        None => None,
    };
    let chain = network.offer(id).await?;
    Ok(Ok(Market::Read {
        obstacle: obstacle(&network, id),
        wanted: Box::new(Wanted { terms, price, available, card }),
        chain,
        replaced,
        token,
        network,
    }))
}

fn obstacle(network: &Network, id: OfferId) -> Option<String> {
    match network.act(&ActKey::Offer(id))? {
        ActState::Refused { error } => Some(error),
        ActState::Queued { waiting } => waiting,
        ActState::Sent { .. } | ActState::Mined { .. } | ActState::Needless { .. } => None,
    }
}

/// A card counts as posted once the transaction that was asked for with it is mined.
fn posted_card(offer: &GpuOffer, market: &Market, context: &Context) -> Option<String> {
    let Market::Read { network, wanted, chain, .. } = market else { return None };
    let id = wanted.terms.id();
    let hash = card_hash(&wanted.card);
    let stored = offer.status.as_ref().and_then(|s| s.on_chain.as_ref()?.card_hash.clone());
    if stored.as_ref() == Some(&hash) {
        return stored;
    }
    // Asked for now, for the first time with this card: what is mined under the same key was something else.
    let asked_before = context.memory.post_card(id, hash.clone()).is_some_and(|before| before == hash);
    let mined = matches!(network.act(&ActKey::Offer(id)), Some(ActState::Mined { .. } | ActState::Needless { .. }));
    (asked_before && mined && chain.is_some()).then_some(hash)
}
