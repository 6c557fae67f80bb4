//! Endpoints of a chain: checked before use, and left for the next one when they fail.

use std::{
    fmt,
    future::IntoFuture,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use alloy::{
    eips::BlockNumberOrTag,
    primitives::{Address, B256, Bytes, U64},
    rpc::types::Block,
    transports::TransportError,
};
use serde::{Serialize, de::DeserializeOwned};

use super::endpoint::{Endpoint, Judgement, Trouble, words};
use crate::network::{Disconnected, NetworkError, NetworkSpec};

/// A node that doesn't answer within this time is as good as dead to a block time of seconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// An answer that takes longer is asked of a second endpoint too: usual ones take a tenth of it.
const HEDGE_AFTER: Duration = Duration::from_millis(1500);

/// Asked of one endpoint alone: which of them has a transaction must be known, and one that lags a little answers for
/// logs as if nothing had happened.
const ALONE: [&str; 2] = ["eth_sendRawTransaction", "eth_getLogs"];
/// An endpoint whose newest block is so much older than the newest one seen tells of a past that is over.
const MOST_BEHIND: Duration = Duration::from_secs(30);

/// The chain, through whichever of its endpoints can be used.
#[derive(Clone, Debug)]
pub(super) struct Chain(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    endpoints: Vec<Endpoint>,
    /// The endpoint in use.
    current: AtomicUsize,
    chain_id: u64,
    market: Address,
    /// What the last endpoint that was asked called itself.
    answered_chain_id: Mutex<Option<u64>>,
    /// Hash of block 0, as written down or as the first endpoint has it.
    genesis: Mutex<Option<B256>>,
    /// Unix second of the newest block that any endpoint has shown.
    newest: AtomicU64,
}

impl Chain {
    pub(super) fn new(spec: &NetworkSpec) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            // Answers are bound to the URL that a person wrote down.
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let endpoints = spec.rpc_urls.iter().map(|url| Endpoint::new(url, http.clone())).collect();
        Ok(Self(Arc::new(Inner {
            endpoints,
            current: AtomicUsize::new(0),
            chain_id: spec.chain_id,
            market: spec.market,
            answered_chain_id: Mutex::new(None),
            genesis: Mutex::new(spec.genesis),
            newest: AtomicU64::new(0),
        })))
    }

    /// Asks the endpoint in use; where it fails, the next one that is what it should be.
    ///
    /// An error that the endpoint answers with is handed back as [`NetworkError::Answer`], unless it says that the
    /// endpoint has enough of us.
    pub(super) async fn ask<P, R>(&self, method: &'static str, params: P) -> Result<R, NetworkError>
    where
        P: Serialize + Clone + fmt::Debug + Send + Sync + Unpin,
        R: DeserializeOwned + fmt::Debug + Send + Sync + Unpin + 'static,
    {
        for _ in 0..=self.0.endpoints.len() {
            let preferred = self.usable().await?;
            let (endpoint, answer) = self.first_answer(preferred, method, &params).await;
            match answer {
                Ok(answer) => return Ok(answer),
                Err(error) => match endpoint.judge(method, error) {
                    Judgement::Answer(error) => return Err(error),
                    Judgement::Trouble(trouble) => endpoint.set_trouble(Some(trouble)),
                },
            }
        }
        Err(self.unavailable())
    }

    /// The answer of an endpoint; where it takes long, that of a second one may come first.
    async fn first_answer<'a, P, R>(
        &'a self,
        endpoint: &'a Endpoint,
        method: &'static str,
        params: &P,
    ) -> (&'a Endpoint, Result<R, TransportError>)
    where
        P: Serialize + Clone + fmt::Debug + Send + Sync + Unpin,
        R: DeserializeOwned + fmt::Debug + Send + Sync + Unpin + 'static,
    {
        let asked = endpoint.client.request::<P, R>(method, params.clone()).into_future();
        let spare = self.0.endpoints.iter().find(|e| !std::ptr::eq(*e, endpoint) && e.trouble().is_none());
        let Some(spare) = spare.filter(|_| !ALONE.contains(&method)) else { return (endpoint, asked.await) };
        let mut asked = std::pin::pin!(asked);
        if let Ok(answer) = tokio::time::timeout(HEDGE_AFTER, &mut asked).await {
            return (endpoint, answer);
        }
        let mut second = std::pin::pin!(spare.client.request::<P, R>(method, params.clone()).into_future());
        tokio::select! {
            answer = &mut asked => (endpoint, answer),
            answer = &mut second => match answer {
                Ok(answer) => (spare, Ok(answer)),
                // The first one is in use, and may still answer.
                Err(_) => (endpoint, asked.await),
            },
        }
    }

    /// Leaves the endpoint in use for the next one, if there is another: it answers, but with an old head.
    pub(super) fn turn_away(&self, message: &str) {
        let current = self.0.current.load(Ordering::Relaxed);
        if let Some(endpoint) = self.0.endpoints.get(current) {
            endpoint.set_trouble(Some(Trouble { reason: Disconnected::HeadStalled, message: message.to_owned() }));
        }
        self.0.current.store((current + 1) % self.0.endpoints.len(), Ordering::Relaxed);
    }

    /// Looks after the endpoints that are not in use, and goes back to the preferred one, if it is well again and has come
    /// as far as the one in use.
    pub(super) async fn tend(&self, head: u64) {
        let current = self.0.current.load(Ordering::Relaxed);
        let spares = self.0.endpoints.iter().enumerate().filter(|(index, _)| *index != current);
        for (index, spare) in spares {
            if self.check(spare).await && index == 0 {
                self.prefer(spare, head).await;
            }
        }
    }

    async fn prefer(&self, first: &Endpoint, head: u64) {
        match first.client.request_noparams::<U64>("eth_blockNumber").await {
            Ok(number) if number.to::<u64>() >= head => self.0.current.store(0, Ordering::Relaxed),
            _ => {}
        }
    }

    /// The endpoint in use, without secrets.
    pub(super) fn endpoint(&self) -> String {
        let current = self.0.current.load(Ordering::Relaxed);
        self.0.endpoints.get(current).map(|endpoint| endpoint.label.clone()).unwrap_or_default()
    }

    pub(super) fn answered_chain_id(&self) -> Option<u64> {
        *self.0.answered_chain_id.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why no endpoint can be used: the trouble that tells a person most, and all of them in words.
    pub(super) fn trouble(&self) -> Trouble {
        let troubles: Vec<_> = self.0.endpoints.iter().filter_map(|e| Some((e, e.trouble()?))).collect();
        let reason = troubles.iter().map(|(_, trouble)| trouble.reason).max_by_key(|reason| telling(*reason));
        let words: Vec<_> = troubles.iter().map(|(e, trouble)| format!("{}: {}", e.label, trouble.message)).collect();
        Trouble { reason: reason.unwrap_or(Disconnected::Connecting), message: words.join("; ") }
    }

    pub(super) fn unavailable(&self) -> NetworkError {
        NetworkError::Unavailable(self.trouble().message)
    }

    async fn usable(&self) -> Result<&Endpoint, NetworkError> {
        let count = self.0.endpoints.len();
        let current = self.0.current.load(Ordering::Relaxed);
        for step in 0..count {
            let index = (current + step) % count;
            let Some(endpoint) = self.0.endpoints.get(index) else { continue };
            if endpoint.trouble().is_none() || self.check(endpoint).await {
                if index != current {
                    tracing::info!(endpoint = endpoint.label, "using another endpoint");
                }
                self.0.current.store(index, Ordering::Relaxed);
                return Ok(endpoint);
            }
        }
        Err(self.unavailable())
    }

    /// Checks that an endpoint serves this chain and knows the market.
    async fn check(&self, endpoint: &Endpoint) -> bool {
        let trouble = self.examine(endpoint).await.err();
        // It is looked at anew for each question: what stays the same is said once.
        if let Some(trouble) = trouble.as_ref().filter(|trouble| endpoint.trouble().as_ref() != Some(trouble)) {
            tracing::warn!(
                endpoint = endpoint.label,
                reason = trouble.reason.reason(),
                trouble.message,
                "endpoint can't be used"
            );
        }
        let good = trouble.is_none();
        endpoint.set_trouble(trouble);
        good
    }

    async fn examine(&self, endpoint: &Endpoint) -> Result<(), Trouble> {
        let unreachable = |error| Trouble { reason: Disconnected::Unreachable, message: words(&error) };
        let id: U64 = endpoint.client.request_noparams("eth_chainId").await.map_err(unreachable)?;
        let id = id.to::<u64>();
        *self.0.answered_chain_id.lock().unwrap_or_else(PoisonError::into_inner) = Some(id);
        if id != self.0.chain_id {
            return Err(Trouble {
                reason: Disconnected::WrongChain,
                message: format!("serves chain {id}, and spec.evm.chainId is {}", self.0.chain_id),
            });
        }
        self.examine_genesis(endpoint).await?;
        self.examine_head(endpoint).await?;
        let code: Bytes =
            endpoint.client.request("eth_getCode", (self.0.market, "latest")).await.map_err(unreachable)?;
        if code.is_empty() {
            return Err(Trouble {
                reason: Disconnected::NoMarket,
                message: format!("there is no contract at {} (spec.evm.market)", self.0.market),
            });
        }
        Ok(())
    }

    /// A block was seen: endpoints that are far behind it are not used.
    pub(super) fn has_shown(&self, time: jiff::Timestamp) {
        self.0.newest.fetch_max(u64::try_from(time.as_second()).unwrap_or(0), Ordering::Relaxed);
    }

    async fn examine_head(&self, endpoint: &Endpoint) -> Result<(), Trouble> {
        let unreachable = |error| Trouble { reason: Disconnected::Unreachable, message: words(&error) };
        let block: Option<Block> = endpoint
            .client
            .request("eth_getBlockByNumber", (BlockNumberOrTag::Latest, false))
            .await
            .map_err(unreachable)?;
        let Some(block) = block else { return Ok(()) };
        let behind = self.0.newest.load(Ordering::Relaxed).saturating_sub(block.header.timestamp);
        if behind <= MOST_BEHIND.as_secs() {
            return Ok(());
        }
        Err(Trouble {
            reason: Disconnected::HeadStalled,
            message: format!("its newest block {} is {behind} s older than the chain's", block.header.number),
        })
    }

    /// Chains can share an id (a fork, a test net of the same software): block 0 tells them apart.
    async fn examine_genesis(&self, endpoint: &Endpoint) -> Result<(), Trouble> {
        let unreachable = |error| Trouble { reason: Disconnected::Unreachable, message: words(&error) };
        let block: Option<Block> = endpoint
            .client
            .request("eth_getBlockByNumber", (BlockNumberOrTag::Earliest, false))
            .await
            .map_err(unreachable)?;
        // A node may have pruned it; then there is nothing to compare.
        let Some(genesis) = block.filter(|block| block.header.number == 0).map(|block| block.header.hash) else {
            return Ok(());
        };
        let expected = *self.0.genesis.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(genesis);
        if genesis == expected {
            return Ok(());
        }
        Err(Trouble {
            reason: Disconnected::WrongChain,
            message: format!(
                "its block 0 is {genesis}, and not {expected} (spec.evm.genesisHash, or the first endpoint that answered)"
            ),
        })
    }
}

/// How much a reason tells: a person must act on a wrong chain, and can only wait for a dead endpoint.
const fn telling(reason: Disconnected) -> u8 {
    match reason {
        Disconnected::Connecting => 0,
        Disconnected::Unreachable => 1,
        Disconnected::HeadStalled => 2,
        Disconnected::NoMarket => 3,
        Disconnected::WrongChain => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_chain_is_told_before_a_dead_endpoint() {
        let order = [
            Disconnected::Connecting,
            Disconnected::Unreachable,
            Disconnected::HeadStalled,
            Disconnected::NoMarket,
            Disconnected::WrongChain,
        ];
        assert!(order.is_sorted_by_key(|reason| telling(*reason)));
    }
}
