//! Reads what an offer rests on: nodes, pods and networks from the caches, the token and the offer from the chain. Writes
//! nothing, and takes nothing down.

use hawser_crds::{GpuOffer, NetworkCheck};
use jiff::Timestamp;

use super::around::Around;
use super::leave::{self, Stake};
use super::memory::{OfferContext, OfferMemory};
use super::probe::Probed;
use super::publish::{Wanted, card_hash};
use super::serves::{self, Obstacle, Worth};
use super::terms::{self, OfferSpecError};
use super::{canary, worth};
use crate::controllers::allocation::{self, Availability};
use crate::controllers::compute_job::NotTaken;
use crate::controllers::watch::name_of;
use crate::controllers::{Shared, unreadable};
use crate::inventory::{self, Capacity, Offered, Sells, SharedInventory};
use crate::network::{ActionKey, ActionState, Network, NetworkError, Offer, OfferId, OfferTerms, Token};
use crate::reasons::Reason;
use crate::settlement::Unclaimed;

/// Everything that a decision about an offer rests on.
pub(crate) struct OfferObservation {
    pub capacity: Capacity,
    pub offered: Offered,
    /// Why none of the nodes' GPUs can be sold, node by node.
    pub why_none: String,
    /// Jobs of the offer that are not over, and so are not settled, or are settled and deleted.
    pub jobs: u32,
    /// Jobs that can't be read and may be the offer's.
    pub unreadable: u32,
    /// What its jobs have earned and is not claimed.
    pub pending: Unclaimed,
    pub market: OfferOnMarket,
    /// What was seen of each of its terms, to be taken down.
    pub terms_seen: TermsSeen,
    /// Hash of the card that is known to be posted.
    pub posted_card: Option<String>,
    pub around: Around,
    /// What the offer's canary found.
    pub network: canary::CanaryFinding,
    /// In the way of all orders, for the moment.
    pub obstacle: Option<Obstacle>,
    /// By the chain's clock: until when an offer holds is told and judged by it.
    pub chain_time: Timestamp,
    /// By the operator's own: for what people read.
    pub now: Timestamp,
}

/// What is known of the offer on chain.
pub(crate) enum OfferOnMarket {
    /// Not now: why, as reason and message.
    Unknown(Reason, String),
    /// It has no identity on chain: a field can't be used.
    Invalid(OfferSpecError),
    /// As the market holds it.
    Read(Box<Read>),
}

/// What was seen of the terms under which an offer is, and was, on the market.
#[derive(Debug, Default)]
pub(crate) struct TermsSeen {
    /// The present ones, where the market could be asked for them.
    pub present: Option<OfferId>,
    /// Earlier ones that take no orders.
    pub missed: Vec<Missed>,
}

/// Earlier terms take no orders at this height.
#[derive(Clone, Debug)]
pub(crate) struct Missed {
    pub id: OfferId,
    /// A transaction about them is not done yet.
    pub on_its_way: bool,
    pub head: u64,
    /// So many heights later one that nobody sends any more never will be.
    pub lapses_after: u64,
}

/// The market's record, and what is wanted of it.
pub(crate) struct Read {
    pub id: OfferId,
    pub chain: Option<Offer>,
    /// Offers of earlier terms that may still take orders.
    pub earlier: Vec<Offer>,
    /// Ids of those, and of earlier terms that may come to stand on chain yet.
    pub open: Vec<OfferId>,
    /// How it should stand, but for what is available.
    pub asked: Result<(Wanted, Token), Obstacle>,
    /// What the market or the wallet said against the last action.
    pub refused: Option<String>,
    /// Most GPUs that the network lets one order ask for.
    pub most_gpus: u16,
}

/// Reads the rest. What is remembered of earlier terms is not changed yet: `observe` does that.
pub(crate) async fn dereference(
    offer: &GpuOffer,
    (availability, probed): (Availability, Probed),
    now: Timestamp,
    context: &OfferContext,
) -> OfferObservation {
    let (shared, memory) = (&*context.shared, &context.memory);
    let Availability { capacity, offered, active } = availability;
    let Probed { around, network: checked, refused } = probed;
    let network = shared.networks.get(&offer.spec.network_ref);
    let mut terms_seen = TermsSeen::default();
    let market = market(offer, network.as_deref(), &mut terms_seen, context).await;
    let worth = match (&market, &network) {
        (OfferOnMarket::Read(read), Some(network)) => worth_of(offer, read, &**network, offered.largest_order),
        _ => None,
    };
    let name = name_of(offer);
    let (unsettled, pending) =
        shared.inventory.read(|inventory| (inventory.known_unsettled(&name), inventory.pending(&name)));
    OfferObservation {
        why_none: if capacity.healthy == 0 { why_none(offer, &shared.inventory) } else { String::new() },
        capacity,
        offered,
        jobs: active.max(unsettled),
        unreadable: unreadable::jobs_of(offer, shared),
        pending,
        posted_card: network.as_deref().and_then(|network| posted_card(offer, &market, network, memory)),
        obstacle: in_the_way(offer, &around, checked.check.as_ref(), refused.as_ref(), &market, worth)
            .or_else(|| shared.capacity_is_old().then(|| Obstacle::passing(Reason::CacheOld, allocation::OLD))),
        market,
        terms_seen,
        around,
        network: checked,
        chain_time: shared.time_on(&offer.spec.network_ref),
        now,
    }
}

/// The first thing in the way; what is wrong with the offer itself before what can't be read now.
fn in_the_way(
    offer: &GpuOffer,
    around: &Around,
    check: Option<&NetworkCheck>,
    refused: Option<&NotTaken>,
    market: &OfferOnMarket,
    worth: Option<Worth>,
) -> Option<Obstacle> {
    serves::obstacle(offer, around, check, refused, worth).or_else(|| match market {
        OfferOnMarket::Unknown(reason, message) => Some(Obstacle::passing(reason.clone(), message.clone())),
        OfferOnMarket::Invalid(error) => Some(error.clone().into()),
        OfferOnMarket::Read(read) => read.asked.as_ref().err().cloned(),
    })
}

fn why_none(offer: &GpuOffer, inventory: &SharedInventory) -> String {
    let sells = Sells::from(&offer.spec);
    inventory.read(|inventory| inventory::why_none(&sells, inventory.nodes_of(&sells.gpu)))
}

fn worth_of(offer: &GpuOffer, read: &Read, network: &dyn Network, largest: u16) -> Option<Worth> {
    let (wanted, token) = read.asked.as_ref().ok().filter(|_| largest > 0)?;
    let (cost, advice) = (network.costs(token).order, network.status().advice.cost);
    Some(Worth { brings: worth::most(&offer.spec, wanted.price, largest), cost, advice })
}

async fn market(
    offer: &GpuOffer,
    network: Option<&dyn Network>,
    terms_seen: &mut TermsSeen,
    context: &OfferContext,
) -> OfferOnMarket {
    let name = &offer.spec.network_ref;
    let Some(network) = network else {
        return OfferOnMarket::Unknown(
            Reason::NetworkNotReady,
            format!("DepinNetwork {name:?} is not ready: see its conditions"),
        );
    };
    if network.head().is_none() {
        // Its time is not known either.
        return OfferOnMarket::Unknown(
            Reason::NetworkUnavailable,
            format!("nothing of DepinNetwork {name:?} was seen yet"),
        );
    }
    let terms = terms::terms(offer, &context.shared.cluster);
    let id = match network.offer_id(&terms) {
        Ok(id) => id,
        Err(error) => return OfferOnMarket::Invalid(error.into()),
    };
    match read(offer, (id, terms), network, terms_seen, context).await {
        Ok(read) => OfferOnMarket::Read(Box::new(read)),
        Err(error) => OfferOnMarket::Unknown(Reason::NetworkUnavailable, error.to_string()),
    }
}

async fn read(
    offer: &GpuOffer,
    (id, terms): (OfferId, OfferTerms),
    network: &dyn Network,
    terms_seen: &mut TermsSeen,
    context: &OfferContext,
) -> Result<Read, NetworkError> {
    // What is no market of this release says so here.
    let sunset = network.sunset().await?;
    let chain = network.offer(&id).await?;
    let (earlier, open) = earlier(offer, &id, network, terms_seen, context).await?;
    Ok(Read {
        asked: asked(offer, (&id, terms, sunset), &context.shared, network).await,
        refused: refused(network, &id),
        most_gpus: network.profile().most_gpus,
        id,
        chain,
        earlier,
        open,
    })
}

/// Offers of earlier terms that take orders, and the ids of all that may come to. One that takes none for long is not looked
/// at again: nobody opens it.
async fn earlier(
    offer: &GpuOffer,
    id: &OfferId,
    network: &dyn Network,
    terms_seen: &mut TermsSeen,
    context: &OfferContext,
) -> Result<(Vec<Offer>, Vec<OfferId>), NetworkError> {
    let stake = Stake::of(&offer.spec.network_ref, None, offer.status.as_ref());
    let (namespace, name) = name_of(offer);
    terms_seen.present = Some(id.clone());
    let open = context.memory.peek(&namespace, &name, |offer| offer.open(stake.seen, id));
    let mut earlier = Vec::new();
    for id in &open {
        if let Some(chain) = leave::named(network.offer(id).await)?
            && chain.available > 0
            && chain.valid_until > context.shared.time_on(&offer.spec.network_ref)
        {
            earlier.push(chain);
            continue;
        }
        let Some(head) = network.head() else { continue };
        let on_its_way = leave::is_on_its_way(network, id);
        let lapses_after = network.profile().lapses_after;
        terms_seen.missed.push(Missed { id: id.clone(), on_its_way, head: head.height, lapses_after });
    }
    Ok((earlier, open))
}

async fn asked(
    offer: &GpuOffer,
    (id, terms, sunset): (&OfferId, OfferTerms, Option<Timestamp>),
    shared: &Shared,
    network: &dyn Network,
) -> Result<(Wanted, Token), Obstacle> {
    let status = network.status();
    terms::start_window(&offer.spec, status.confirmation_lag, &status.advice)?;
    // The offer itself was read a moment ago: it is the token.
    let token = network.token(&terms.token).await.map_err(|error| {
        if let Some(never) = terms::not_a_token(&error) {
            return Obstacle::new(Reason::NotAToken, never.to_string());
        }
        let message = format!("spec.price.token {} can't be read as a token: {error}", terms.token);
        Obstacle::passing(Reason::TokenNotRead, message)
    })?;
    let card = shared.inventory.read(|inventory| {
        let first = inventory.nodes_of(&offer.spec.gpu).next().map(|(_, node)| node);
        terms::card(offer, first, &shared.config.evidence_public_url, network.profile().longest_card)
    })?;
    let price = terms::price(&offer.spec, token.decimals)?;
    Ok((Wanted { id: id.clone(), terms, price, available: 0, card, sunset }, token))
}

fn refused(network: &dyn Network, id: &OfferId) -> Option<String> {
    match network.action(&ActionKey::Offer(id.clone()))? {
        ActionState::Refused { error } => Some(error),
        ActionState::Queued { waiting } => waiting,
        ActionState::Sent { .. } | ActionState::Mined { .. } | ActionState::AlreadyDone { .. } => None,
    }
}

/// A card counts as posted once the transaction that was asked for with it is mined.
fn posted_card(
    offer: &GpuOffer,
    market: &OfferOnMarket,
    network: &dyn Network,
    memory: &OfferMemory,
) -> Option<String> {
    let OfferOnMarket::Read(read) = market else { return None };
    let stored = offer.status.as_ref().and_then(|s| s.on_chain.as_ref()?.card_hash.clone());
    let Ok((wanted, _)) = &read.asked else { return stored };
    let hash = card_hash(&wanted.card);
    if stored.as_ref() == Some(&hash) {
        return stored;
    }
    // What is mined under the same key may have been something else.
    let (namespace, name) = name_of(offer);
    let asked_before = memory.peek(&namespace, &name, |offer| offer.pace.is_asked(&hash));
    let action = network.action(&ActionKey::Offer(read.id.clone()));
    let mined = matches!(action, Some(ActionState::Mined { .. } | ActionState::AlreadyDone { .. }));
    (asked_before && mined && read.chain.is_some()).then_some(hash)
}
