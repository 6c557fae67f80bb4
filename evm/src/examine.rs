//! Whether an endpoint serves this chain, now, and knows the market.

use std::{
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use alloy::{
    eips::BlockNumberOrTag,
    primitives::B256,
    providers::{Provider, RootProvider},
    transports::TransportResult,
};
use jiff::Timestamp;

use crate::{
    budget::Class,
    endpoint::{Endpoint, Shown},
    error::{Error, Reason, Trouble, Unavailable},
    options::Expected,
    pool::Inner,
    transport::Transport,
};

/// An endpoint whose newest block is this much older than what others show is out of date.
const MOST_BEHIND: u64 = 30;
/// A block that lies so far in the future is not believed where another endpoint shows one that doesn't.
pub(crate) const MOST_AHEAD: u64 = 60;
/// What an endpoint has shown counts for this long against others.
const REMEMBERED: Duration = Duration::from_mins(1);

impl Inner {
    /// Checks an endpoint, unless that is being done or was done in vain a moment ago.
    pub(crate) async fn check(&self, endpoint: &Arc<Endpoint>) -> bool {
        let Ok(mut checks) = endpoint.checking.try_lock() else {
            drop(endpoint.checking.lock().await);
            return endpoint.trouble().is_none();
        };
        if endpoint.trouble().is_some() && !checks.is_due(Instant::now()) {
            return false;
        }
        let trouble = self.examine(endpoint).await.err();
        // It is looked at again and again: what stays the same is said once.
        if let Some(trouble) = trouble.as_ref().filter(|trouble| endpoint.trouble().as_ref() != Some(trouble)) {
            tracing::warn!(
                endpoint = endpoint.label,
                reason = ?trouble.reason,
                trouble.message,
                "endpoint can't be used"
            );
        }
        checks.done(trouble.is_none(), Instant::now());
        endpoint.set_trouble(trouble.clone());
        trouble.is_none()
    }

    async fn examine(&self, endpoint: &Arc<Endpoint>) -> Result<(), Trouble> {
        let provider = &Transport::one(Arc::clone(endpoint), Class::First, self.profile.check_timeout).provider();
        let id = provider.get_chain_id().await.map_err(trouble)?;
        *self.answered_chain_id.lock().unwrap_or_else(PoisonError::into_inner) = Some(id);
        if let Some(message) = self.other_chain(id) {
            return Err(Trouble::new(Reason::WrongChain, message));
        }
        let genesis = self.examine_genesis(provider).await?;
        self.examine_head(endpoint, provider).await?;
        let Expected { contract, names, .. } = self.expected;
        let code = provider.get_code_at(contract).await.map_err(trouble)?;
        if code.is_empty() {
            let message = format!("there is no contract at {contract} on chain {id} ({})", names.contract);
            return Err(Trouble::new(Reason::NoContract, message));
        }
        self.learn(id, genesis)
    }

    /// In what words an id is that of another chain.
    fn other_chain(&self, id: u64) -> Option<String> {
        if let Some(expected) = self.expected.chain_id {
            let name = self.expected.names.chain_id;
            return (id != expected).then(|| format!("serves chain {id}, and {name} is {expected}"));
        }
        let first = self.learned().chain_id.filter(|first| *first != id)?;
        Some(format!("serves chain {id}, and the first endpoint that could be used chain {first}"))
    }

    /// Of the first endpoint that is all that it should be is taken what nobody wrote down.
    fn learn(&self, id: u64, genesis: Option<B256>) -> Result<(), Trouble> {
        let mut learned = self.learned();
        let other = learned.chain_id.is_some_and(|first| first != id)
            || learned.genesis.zip(genesis).is_some_and(|(first, genesis)| first != genesis);
        if other {
            // Two were checked at once.
            return Err(Trouble::new(
                Reason::WrongChain,
                "serves another chain than the first endpoint that could be used",
            ));
        }
        learned.chain_id = Some(id);
        learned.genesis = learned.genesis.or(genesis);
        Ok(())
    }

    async fn examine_head(&self, endpoint: &Endpoint, provider: &RootProvider) -> Result<(), Trouble> {
        let block = provider.get_block_by_number(BlockNumberOrTag::Latest).await.map_err(trouble)?;
        let Some(header) = block.map(|block| block.header) else { return Ok(()) };
        let (now, shows) = (Instant::now(), (header.number, header.timestamp));
        let others = self.endpoints.iter().filter(|other| !std::ptr::eq(Arc::as_ptr(other), endpoint));
        let others: Vec<Shown> = others.filter_map(|other| other.shown()).collect();
        let own = endpoint.shown();
        if let Some(message) = off(shows, &others, own, wall_clock(), now) {
            return Err(Trouble::new(Reason::HeadStalled, message));
        }
        endpoint.has_shown(header.number, header.timestamp);
        Ok(())
    }

    /// Chains can share an id (a fork, a test net of the same software): block 0 tells them apart.
    async fn examine_genesis(&self, provider: &RootProvider) -> Result<Option<B256>, Trouble> {
        // By its number: `earliest` is the first block that is kept, and Filecoin's nodes don't know the word.
        let block = answered(provider.get_block_by_number(BlockNumberOrTag::Number(0)).await)?.flatten();
        // A node may have pruned it; then there is nothing to compare.
        let Some(genesis) = block.filter(|block| block.header.number == 0).map(|block| block.header.hash) else {
            return Ok(None);
        };
        let expected = self.expected.genesis.or(self.learned().genesis).unwrap_or(genesis);
        if genesis == expected {
            return Ok(Some(genesis));
        }
        let name = self.expected.names.genesis.map(|name| format!("{name}, or ")).unwrap_or_default();
        let message =
            format!("its block 0 is {genesis}, and not {expected} ({name}the first endpoint that could be used)");
        Err(Trouble::new(Reason::WrongChain, message))
    }
}

/// Unix second of this machine's clock.
pub(crate) fn wall_clock() -> u64 {
    Timestamp::now().as_second().try_into().unwrap_or(0)
}

/// What is wrong with the time of an endpoint's newest block, given what others have shown lately. One endpoint's word
/// alone condemns no other: a time that lies in the future is no measure, and what was shown is forgotten.
fn off(
    (number, time): (u64, u64),
    others: &[Shown],
    own: Option<Shown>,
    wall_clock: u64,
    now: Instant,
) -> Option<String> {
    let lately = |shown: &&Shown| now.saturating_duration_since(shown.at) <= REMEMBERED;
    let future = wall_clock.saturating_add(MOST_AHEAD);
    let sane = |shown: &&Shown| shown.time <= future;
    if time > future && others.iter().any(|shown| lately(&shown) && sane(&shown)) {
        let ahead = time - wall_clock;
        return Some(format!("its newest block {number} lies {ahead} s in the future, and another endpoint's doesn't"));
    }
    let newest = others.iter().chain(&own).filter(lately).filter(sane).map(|shown| shown.time).max()?;
    let behind = newest.saturating_sub(time);
    (behind > MOST_BEHIND).then(|| format!("its newest block {number} is {behind} s older than the chain's"))
}

/// The endpoint's answer; none where it answers with an error.
fn answered<R>(answer: TransportResult<R>) -> Result<Option<R>, Trouble> {
    match answer.map_err(Error::from) {
        Ok(answer) => Ok(Some(answer)),
        Err(Error::Answer { .. } | Error::Malformed { .. }) => Ok(None),
        Err(error @ Error::Unavailable(_)) => Err(trouble(error)),
    }
}

/// What is wrong with an endpoint that was asked alone.
fn trouble(error: impl Into<Error>) -> Trouble {
    match error.into() {
        Error::Unavailable(Unavailable(mut troubles)) if troubles.len() == 1 => troubles.remove(0).1,
        error => Trouble::new(Reason::Unreachable, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_judged_by_what_several_show_and_never_by_one_that_lies_in_the_future() {
        let start = Instant::now();
        let now = start + Duration::from_hours(1);
        let shown = |time: u64, ago: u64| Shown { number: 1, time, at: start + Duration::from_secs(3600 - ago) };
        for (time, others, own, fault, why) in [
            (1000, vec![], None, None, "nothing to compare"),
            (1000, vec![shown(1030, 5)], None, None, "a little behind"),
            (1000, vec![shown(1031, 5)], None, Some("31 s older"), "far behind"),
            (1000, vec![shown(1040, 70)], None, None, "shown long ago"),
            (1000, vec![shown(1100, 5)], None, None, "the other one lies in the future"),
            (1000, vec![], Some(shown(1040, 5)), Some("40 s older"), "it has shown more itself"),
            (1101, vec![shown(1038, 5)], None, Some("63 s in the future"), "it lies in the future alone"),
            (1101, vec![shown(1101, 5)], None, None, "all do: it is this clock that is off"),
            (1101, vec![], None, None, "nobody else is there to say"),
        ] {
            let found = off((7, time), &others, own, 1038, now);
            match fault {
                None => assert_eq!(found, None, "{why}"),
                Some(words) => assert!(found.clone().is_some_and(|found| found.contains(words)), "{why}: {found:?}"),
            }
        }
    }
}
