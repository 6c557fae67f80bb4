//! When an offer that is being deleted can go: once the market takes no orders for it and no job needs it. It works from
//! ids alone, so that an offer that can't be read, or whose token is none, can go too.

use hawser_crds::{GpuOffer, GpuOfferStatus};
use jiff::Timestamp;
use serde_json::Value;

use super::dereference::OfferObservation;
use super::publish;
use super::terms;
use crate::controllers::{Shared, abandon};
use crate::network::{ActionKey, ActionState, Network, NetworkAction, NetworkError, Offer, OfferId, On};

/// What may stand on chain of an offer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stake {
    /// Name of the `DepinNetwork`.
    pub network: String,
    /// Under its present terms, where these can be computed. It may not be posted.
    pub computed: Option<OfferId>,
    /// That were seen on chain, or were to be posted.
    pub seen: Vec<OfferId>,
}

impl Stake {
    /// Of an offer whose status can be read.
    pub(crate) fn of(network: &str, computed: Option<OfferId>, status: Option<&GpuOfferStatus>) -> Self {
        let ids = status.into_iter().flat_map(|s| s.on_chain.iter().map(|c| &c.offer_id).chain(&s.earlier));
        Self { network: network.to_owned(), computed, seen: ids.map(OfferId::from).collect() }
    }

    /// What may stand on chain of an offer, by its status.
    pub(crate) fn stored(offer: &GpuOffer) -> Self {
        Self::of(&offer.spec.network_ref, None, offer.status.as_ref())
    }

    /// Of an offer that can't be read, from its JSON.
    pub(crate) fn of_json(raw: &Value) -> Self {
        let texts = raw.pointer("/status/onChain/offerId").into_iter();
        let earlier = raw.pointer("/status/earlier").and_then(Value::as_array).into_iter().flatten();
        let network = raw.pointer("/spec/networkRef").and_then(Value::as_str).unwrap_or_default();
        let seen = texts.chain(earlier).filter_map(|id| Some(id.as_str()?.into())).collect();
        Self { network: network.to_owned(), computed: None, seen }
    }

    fn ids(&self) -> impl Iterator<Item = &OfferId> {
        self.computed.iter().chain(&self.seen)
    }

    /// All of them, with their network.
    pub(crate) fn on_network(&self) -> impl Iterator<Item = On<OfferId>> {
        self.ids().map(|id| On::new(&self.network, id.clone()))
    }
}

/// Where the offer stands on chain.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum MarketStanding {
    /// It was never posted, as far as is known.
    Never,
    /// It takes orders: what has to be said on chain.
    Open(Vec<NetworkAction>),
    /// It takes none; whether every order that came before is read.
    Closed { orders_read: bool },
    /// It can't be seen: why.
    Unknown(String),
}

/// What to do with an offer that is being deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LeaveStep {
    /// Nothing needs it.
    Go,
    /// Its owner gives up what is owed.
    GiveUp,
    /// Why it stays.
    Stay(String),
}

/// Everything that the decision rests on.
#[derive(Clone, Debug)]
pub(crate) struct Leaving {
    pub stand: MarketStanding,
    /// Jobs that are not settled.
    pub jobs: u32,
    /// Jobs that can't be read and may be the offer's.
    pub unreadable: u32,
    /// The annotation is set.
    pub abandoned: bool,
}

/// Decides.
pub(crate) fn step(leaving: &Leaving) -> LeaveStep {
    let Leaving { stand, jobs, unreadable, abandoned } = leaving;
    if *abandoned {
        return LeaveStep::GiveUp;
    }
    let why = match stand {
        _ if *jobs > 0 => format!("{jobs} of its jobs are not settled: see kubectl get computejobs"),
        _ if *unreadable > 0 => {
            format!("{unreadable} ComputeJobs of the namespace can't be read and may be its own: see their conditions")
        }
        MarketStanding::Never | MarketStanding::Closed { orders_read: true } => return LeaveStep::Go,
        MarketStanding::Open(_) => return LeaveStep::Stay("the market is told that it takes no orders".to_owned()),
        MarketStanding::Closed { orders_read: false } => {
            return LeaveStep::Stay("orders that came before the market heard of it are still read".to_owned());
        }
        MarketStanding::Unknown(why) => why.clone(),
    };
    LeaveStep::Stay(format!("{why}. {}", abandon::ADVICE))
}

/// What may stand on chain of an offer that is being deleted.
pub(crate) fn stake(offer: &GpuOffer, shared: &Shared) -> Stake {
    let network = shared.networks.get(&offer.spec.network_ref);
    let computed = network.and_then(|network| network.offer_id(&terms::terms(offer, &shared.cluster)).ok());
    Stake { computed, ..Stake::stored(offer) }
}

/// What the decision about such an offer rests on.
pub(crate) fn leaving(offer: &GpuOffer, seen: &OfferObservation, stand: MarketStanding) -> Leaving {
    let abandoned = abandon::is_asked(&offer.metadata);
    Leaving { stand, jobs: seen.jobs, unreadable: seen.unreadable, abandoned }
}

/// What the market shows of a stake now. What was seen before is not in it yet: `observe` adds that.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum StakeRead {
    Never,
    Open(Vec<NetworkAction>),
    /// It takes no orders at this block; those up to the cursor's are read.
    Closed {
        head: u64,
        cursor: u64,
    },
    Unknown(String),
}

/// Looks at the chain.
pub(crate) async fn read(stake: &Stake, shared: &Shared) -> StakeRead {
    let name = &stake.network;
    let Some(network) = shared.networks.get(name) else {
        return if stake.seen.is_empty() {
            StakeRead::Never
        } else {
            StakeRead::Unknown(format!(
                "it stands on the market, and DepinNetwork {name:?} does not run: see its conditions"
            ))
        };
    };
    if network.head().is_none() && !stake.seen.is_empty() {
        // By no block nothing is closed, and no order read.
        return StakeRead::Unknown(format!("nothing of DepinNetwork {name:?} was seen yet"));
    }
    let was_asked = |id: &OfferId| network.action(&ActionKey::Offer(id.clone())).is_some();
    let on_its_way = stake.ids().any(|id| is_on_its_way(&*network, id));
    match open(stake, &*network, shared.time_on(name)).await {
        Ok(open) if open.is_empty() && on_its_way => {
            StakeRead::Unknown("a transaction about it is on its way".to_owned())
        }
        Ok(open) if open.is_empty() => {
            let status = network.status();
            StakeRead::Closed {
                head: status.head.map_or(0, |head| head.height),
                cursor: status.cursor.map_or(0, |cursor| cursor.block),
            }
        }
        Ok(open) => StakeRead::Open(open),
        Err(_) if stake.seen.is_empty() && !stake.ids().any(was_asked) => StakeRead::Never,
        Err(error) => StakeRead::Unknown(error.to_string()),
    }
}

/// Whether something was asked for about an offer that is not mined yet.
pub(super) fn is_on_its_way(network: &dyn Network, id: &OfferId) -> bool {
    matches!(network.action(&ActionKey::Offer(id.clone())), Some(ActionState::Queued { .. } | ActionState::Sent { .. }))
}

/// An offer whose id stands in a status. A text that the network can't have given names none of its offers.
pub(super) fn named(answer: Result<Option<Offer>, NetworkError>) -> Result<Option<Offer>, NetworkError> {
    match answer {
        Err(NetworkError::Foreign(_)) => Ok(None),
        answer => answer,
    }
}

async fn open(stake: &Stake, network: &dyn Network, now: Timestamp) -> Result<Vec<NetworkAction>, NetworkError> {
    let mut open = Vec::new();
    for id in stake.ids() {
        let chain = named(network.offer(id).await)?;
        if let Some(action) = publish::withdraw(chain.as_ref(), now)
            && !open.contains(&action)
        {
            open.push(action);
        }
    }
    Ok(open)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ID: &str = "0x0102030405060708";

    #[test]
    fn an_offer_stays_for_as_long_as_anything_is_at_stake_and_no_longer() {
        let unknown = || MarketStanding::Unknown("the words".to_owned());
        let closed = |orders_read| MarketStanding::Closed { orders_read };
        for (stand, jobs, unreadable, abandoned, expected) in [
            (MarketStanding::Never, 0, 0, false, "go"),
            (closed(true), 0, 0, false, "go"),
            (closed(true), 2, 0, false, "2 of its jobs"),
            (closed(true), 0, 1, false, "1 ComputeJobs"),
            (closed(false), 0, 0, false, "still read"),
            (MarketStanding::Open(Vec::new()), 0, 0, false, "is told"),
            (unknown(), 0, 0, false, "the words. To give up"),
            (MarketStanding::Never, 1, 0, false, "not settled"),
            (unknown(), 2, 1, true, "give up"),
        ] {
            let leaving = Leaving { stand, jobs, unreadable, abandoned };
            match (step(&leaving), expected) {
                (LeaveStep::Go, "go") | (LeaveStep::GiveUp, "give up") => {}
                (LeaveStep::Stay(why), words) => assert!(why.contains(words), "{why}"),
                (got, words) => panic!("{got:?} where {words:?} was expected"),
            }
        }
    }

    #[test]
    fn what_an_offer_has_on_chain_is_found_in_json_that_cannot_be_read() {
        let raw = json!({
            "spec": {"networkRef": "main", "capacity": {"reserve": 4_294_967_296_u64}},
            "status": {"onChain": {"offerId": ID}, "earlier": ["nonsense", ID, 7]}
        });
        let seen = [ID, "nonsense", ID].map(OfferId::from).to_vec();
        assert_eq!(Stake::of_json(&raw), Stake { network: "main".to_owned(), computed: None, seen });
        assert_eq!(Stake::of_json(&json!({"spec": 3})), Stake::default());
    }

    #[test]
    fn what_the_network_can_not_have_named_does_not_stand_on_it_and_what_it_does_not_answer_may() {
        assert_eq!(named(Err(NetworkError::Foreign("\"nonsense\" is not an offer's id".to_owned()))), Ok(None));
        let away = || Err(NetworkError::Unavailable("away".to_owned()));
        assert_eq!(named(away()), away());
    }
}
