//! What was attested, claimed and sent on, by token and by offer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hawser_crds::GpuOffer;
use jiff::Timestamp;
use kube::ResourceExt;
use prometheus_client::metrics::family::Family;

use super::Metrics;
use super::book::{Book, Decimal, Number};
use super::labels::{OfferLabels, TokenInfo, TokenLabels};
use crate::network::{Token, Units};
use crate::settlement::Unclaimed;

#[derive(Clone, Debug)]
pub(super) struct Money {
    pending: Family<TokenLabels, Decimal>,
    pending_lost_at: Family<TokenLabels, Number>,
    credit: Family<TokenLabels, Decimal>,
    withdrawn: Family<TokenLabels, Decimal>,
    token_info: Family<TokenInfo, Number>,
    /// The symbol under which each token stands, by network and name.
    symbols: Arc<Mutex<HashMap<(String, String), String>>>,
    offer_pending: Family<OfferLabels, Decimal>,
    offer_claimed: Family<OfferLabels, Decimal>,
    /// The labels under which each offer stands, by namespace and name.
    offers: Arc<Mutex<HashMap<(String, String), OfferLabels>>>,
}

impl Money {
    pub(super) fn new(book: &mut Book) -> Self {
        Self {
            pending: book.metric("pending_tokens", "Whole tokens attested and not claimed yet: what is at risk"),
            pending_lost_at: book.metric(
                "pending_lost_at_seconds",
                "Unix second at which the first of the pending tokens is lost if it is not claimed; 0: nothing is pending",
            ),
            credit: book.metric("credit_tokens", "Whole tokens claimed and not withdrawn"),
            withdrawn: book.metric("withdrawn_tokens", "Whole tokens sent to the payout address"),
            token_info: book.metric("token_info", "1 for each token, with the symbol that it gives itself"),
            symbols: Arc::default(),
            offer_pending: book.metric(
                "offer_pending_tokens",
                "Whole tokens attested for the offer's jobs and not claimed yet",
            ),
            offer_claimed: book.metric(
                "offer_claimed_tokens",
                "Whole tokens claimed for the offer's jobs under its present terms, the market's fee included",
            ),
            offers: Arc::default(),
        }
    }

    pub(super) fn forget_network(&self, name: &str) {
        let mut symbols = self.symbols();
        let gone: Vec<_> = symbols.extract_if(|(network, _), _| network == name).collect();
        for ((network, token), symbol) in gone {
            let label = TokenLabels { network: network.clone(), token: token.clone() };
            self.pending.remove(&label);
            self.pending_lost_at.remove(&label);
            self.credit.remove(&label);
            self.withdrawn.remove(&label);
            self.token_info.remove(&TokenInfo { network, token, symbol });
        }
    }

    pub(super) fn forget_offer(&self, namespace: &str, name: &str) {
        if let Some(label) = self.offers().remove(&(namespace.to_owned(), name.to_owned())) {
            self.remove(&label);
        }
    }

    /// One name for each token. A symbol that could not be read takes no name away.
    fn name_token(&self, label: &TokenLabels, symbol: &str) {
        let info = |symbol: &str| TokenInfo {
            network: label.network.clone(),
            token: label.token.clone(),
            symbol: symbol.to_owned(),
        };
        let mut symbols = self.symbols();
        let stands = symbols.entry((label.network.clone(), label.token.clone())).or_default();
        if stands.as_str() != symbol && !symbol.is_empty() {
            self.token_info.remove(&info(stands.as_str()));
            symbol.clone_into(stands);
        }
        self.token_info.get_or_create(&info(stands.as_str())).set(1);
    }

    fn remove(&self, offer: &OfferLabels) {
        self.offer_pending.remove(offer);
        self.offer_claimed.remove(offer);
    }

    fn offers(&self) -> MutexGuard<'_, HashMap<(String, String), OfferLabels>> {
        self.offers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn symbols(&self) -> MutexGuard<'_, HashMap<(String, String), String>> {
        self.symbols.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Metrics {
    /// What was earned in a token.
    pub(crate) fn earnings(&self, network: &str, token: &Token, pending: Unclaimed, credit: Units, withdrawn: Units) {
        let label = TokenLabels { network: network.to_owned(), token: token.id.to_string() };
        let all = &self.money;
        all.name_token(&label, &token.symbol);
        all.pending.get_or_create(&label).set(whole(pending.units, token));
        all.pending_lost_at.get_or_create(&label).set(pending.lost_at.map_or(0, Timestamp::as_second));
        all.credit.get_or_create(&label).set(whole(credit, token));
        all.withdrawn.get_or_create(&label).set(whole(withdrawn, token));
    }

    /// What the jobs of an offer were attested, and what was claimed for them. There is no such metric of a job: jobs come
    /// and go without end, and each would be a series that stays.
    pub(crate) fn offer(&self, offer: &GpuOffer, token: &Token, pending: Unclaimed, claimed: Units) {
        let (namespace, name) = (offer.namespace().unwrap_or_default(), offer.name_any());
        let label = OfferLabels {
            network: offer.spec.network_ref.clone(),
            namespace: namespace.clone(),
            offer: name.clone(),
            token: token.id.to_string(),
        };
        let all = &self.money;
        let before = all.offers().insert((namespace, name), label.clone());
        if let Some(before) = before.filter(|before| *before != label) {
            all.remove(&before);
        }
        all.offer_pending.get_or_create(&label).set(whole(pending.units, token));
        all.offer_claimed.get_or_create(&label).set(whole(claimed, token));
    }
}

fn whole(units: Units, token: &Token) -> f64 {
    super::whole(units, token.decimals)
}
