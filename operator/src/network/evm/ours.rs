//! What of the market's logs concerns this provider: its own offers and the tokens that it is paid in. What others sell
//! and order costs nothing.

use std::collections::BTreeSet;

use alloy::{
    primitives::{Address, B256},
    rpc::types::{Filter, Log},
    sol_types::SolEvent,
};
use hawser_contracts::ComputeMarket::{JobEndAnnounced, JobOpened, JobToppedUp, OfferSet, Withdrawn};
use hawser_market::{JobId, OfferId};

use crate::network::evm::{Action, Known};

/// Topics that endpoints take in one place of a filter. With more offers than that all of the market is read.
const MOST_TOPICS: usize = 900;

/// The provider's offers and tokens, as far as anybody here has named them.
#[derive(Clone, Debug)]
pub(super) struct Ours {
    market: Address,
    provider: Address,
    known: Known,
}

/// What logs tell of.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Jobs that are otherwise than they were.
    pub(super) changed: BTreeSet<JobId>,
    /// There is an offer that was not known: the same logs are to be asked for again.
    pub(super) more: bool,
}

impl Ours {
    pub(super) fn new(market: Address, provider: Address, known: Known) -> Self {
        Self { market, provider, known }
    }

    pub(super) fn learn_offer(&mut self, offer: OfferId) -> bool {
        self.known.offers.insert(offer)
    }

    pub(super) fn learn_token(&mut self, token: Address) -> bool {
        self.known.tokens.insert(token)
    }

    /// An action names what it is about.
    pub(super) fn learn(&mut self, action: &Action) {
        match action {
            Action::SetOffer(post) => {
                self.learn_offer(post.offer);
                self.learn_token(post.terms.token);
            }
            Action::UpdateOffer { offer, .. } => {
                self.learn_offer(*offer);
            }
            Action::Withdraw { token, .. } => {
                self.learn_token(*token);
            }
            Action::Decline { job, .. }
            | Action::Start { job, .. }
            | Action::End { job, .. }
            | Action::Refund { job, .. } => {
                self.learn_offer(job.offer_id());
            }
            Action::Claim(claim) | Action::Settle { claim, .. } => {
                self.learn_offer(claim.job.offer_id());
            }
        }
    }

    /// What stands in the second indexed place of every log that concerns us: the offer of an order, a top-up or an end,
    /// the token of a withdrawal, the provider of an offer.
    pub(super) fn topics(&self) -> Vec<B256> {
        let offers = self.known.offers.iter().map(|offer| topic(*offer));
        let tokens = self.known.tokens.iter().chain([&self.provider]).map(Address::into_word);
        offers.chain(tokens).collect()
    }

    pub(super) fn filter(&self) -> Filter {
        let events = [
            JobOpened::SIGNATURE_HASH,
            JobToppedUp::SIGNATURE_HASH,
            JobEndAnnounced::SIGNATURE_HASH,
            Withdrawn::SIGNATURE_HASH,
            OfferSet::SIGNATURE_HASH,
        ];
        let filter = Filter::new().address(self.market).event_signature(events.to_vec());
        let topics = self.topics();
        if topics.len() > MOST_TOPICS { filter } else { filter.topic2(topics) }
    }

    pub(super) fn has(&self, offer: OfferId) -> bool {
        self.known.offers.contains(&offer)
    }

    /// Reads what is no order and no withdrawal, and learns of offers that nobody here has named.
    pub(super) fn read(&mut self, logs: &[Log]) -> Found {
        let (mut found, market) = (Found::default(), self.market);
        for log in logs.iter().filter(|log| log.address() == market && !log.removed) {
            if let Ok(set) = OfferSet::decode_log(&log.inner) {
                if set.provider == self.provider {
                    found.more |= self.learn_offer(OfferId(set.offerId)) | self.learn_token(set.terms.token);
                }
            } else if let Ok(topped) = JobToppedUp::decode_log(&log.inner) {
                found.changed.insert(JobId(topped.id));
            } else if let Ok(ended) = JobEndAnnounced::decode_log(&log.inner) {
                found.changed.insert(JobId(ended.id));
            }
        }
        found
    }
}

fn topic(offer: OfferId) -> B256 {
    B256::right_padding_from(offer.0.as_slice())
}

#[cfg(test)]
mod tests {
    use alloy::primitives::FixedBytes;

    use super::*;

    fn ours(offers: u32) -> Ours {
        let mut ours = Ours::new(Address::repeat_byte(1), Address::repeat_byte(2), Known::default());
        ours.learn_token(Address::repeat_byte(3));
        for number in 0..offers {
            let mut id = FixedBytes::<8>::ZERO;
            id[..4].copy_from_slice(&number.to_be_bytes());
            ours.learn_offer(OfferId(id));
        }
        ours
    }

    #[test]
    fn logs_are_asked_for_by_our_offers_our_tokens_and_ourselves() {
        let mut ours = ours(0);
        let offer = OfferId(FixedBytes::repeat_byte(9));
        assert!(ours.learn_offer(offer) && !ours.learn_offer(offer));
        let mut expected = B256::ZERO;
        expected[..8].copy_from_slice(&[9; 8]);
        let address = |byte| Address::repeat_byte(byte).into_word();
        assert_eq!(ours.topics(), [expected, address(3), address(2)]);
        let filter = serde_json::to_value(ours.filter()).unwrap();
        assert_eq!(filter["topics"].as_array().unwrap().len(), 3, "{filter}");
    }

    #[test]
    fn with_more_offers_than_a_filter_takes_all_of_the_market_is_read() {
        for (offers, filtered) in [(1, true), (800, true), (2000, false)] {
            let filter = serde_json::to_value(ours(offers).filter()).unwrap();
            assert_eq!(filter["topics"].as_array().unwrap().len() == 3, filtered, "{offers}");
        }
    }
}
