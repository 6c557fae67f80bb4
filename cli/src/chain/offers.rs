//! What is for sale, and who sells it: each provider has a list of its own, and the events say who the providers are.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use alloy::{
    primitives::{Address, B256, U256},
    rpc::types::Filter,
    sol_types::SolEvent,
};
use hawser_contracts::{
    ComputeMarket,
    ComputeMarket::{FloorSet, OfferSet, OfferUpdated},
};
use hawser_market::OfferId;

use super::{MarketClient, read, send};
use crate::failure::Failure;

/// How many offers one call asks for.
const OFFERS_PER_CALL: u64 = 100;

/// GPU class of the floor that holds for all classes without one of their own.
pub(crate) const ALL_CLASSES: B256 = B256::ZERO;

impl MarketClient {
    pub(crate) async fn offer(&self, id: OfferId) -> Result<ComputeMarket::Offer, Failure> {
        self.contract.offer(id.0).call().await.map_err(|error| send::call_failure(error, None))
    }

    /// All offers of the providers who posted or changed any in the blocks that are looked at, each provider's oldest first.
    pub(crate) async fn offers(&self) -> Result<Vec<ComputeMarket::Offer>, Failure> {
        let mut offers = Vec::new();
        for provider in self.providers().await? {
            offers.extend(self.offers_of(provider).await?);
        }
        if offers.is_empty() {
            // What is no market has no events either: it has to answer.
            self.contract.sunset().call().await.map_err(|error| send::call_failure(error, None))?;
        }
        Ok(offers)
    }

    /// All offers that a provider ever posted, oldest first.
    pub(crate) async fn offers_of(&self, provider: Address) -> Result<Vec<ComputeMarket::Offer>, Failure> {
        let mut offers = Vec::new();
        loop {
            let from = U256::from(offers.len());
            let page = self.contract.offersOf(provider, from, U256::from(OFFERS_PER_CALL)).call().await;
            let page = page.map_err(|error| send::call_failure(error, None))?;
            let last = (page.len() as u64) < OFFERS_PER_CALL;
            offers.extend(page);
            if last {
                return Ok(offers);
            }
        }
    }

    async fn providers(&self) -> Result<BTreeSet<Address>, Failure> {
        let posted = Filter::new().address(self.address()).event_signature(OfferSet::SIGNATURE_HASH);
        let mut of_offers = BTreeMap::new();
        for log in self.logs(posted).await? {
            let set = read::<OfferSet>(&log)?;
            of_offers.insert(OfferId(set.offerId), set.provider);
        }
        // An offer may have been posted before and changed since. That says no provider, but the market does.
        if self.has_a_past().await != Some(false) {
            let changed = Filter::new().address(self.address()).event_signature(OfferUpdated::SIGNATURE_HASH);
            for log in self.logs(changed).await? {
                if let Entry::Vacant(place) = of_offers.entry(OfferId(read::<OfferUpdated>(&log)?.offerId)) {
                    let provider = self.offer(*place.key()).await?.terms.provider;
                    place.insert(provider);
                }
            }
        }
        Ok(of_offers.into_values().collect())
    }

    /// Lowest price of a provider's offers of a GPU class in a token; 0 where it is refused.
    pub(crate) async fn floor_of(&self, account: Address, token: Address, class: B256) -> Result<u128, Failure> {
        self.contract.floor(account, token, class).call().await.map_err(|error| send::call_failure(error, None))
    }

    /// Tokens and GPU classes for which an account ever set a floor.
    pub(crate) async fn floors(&self, account: Address) -> Result<BTreeSet<(Address, B256)>, Failure> {
        let set = Filter::new().address(self.address()).event_signature(FloorSet::SIGNATURE_HASH);
        let logs = self.logs(set.topic1(account.into_word())).await?;
        logs.iter().map(|log| read::<FloorSet>(log).map(|set| (set.token, set.gpuClass))).collect()
    }
}
