//! Endpoints of a chain: checked before use, asked no more often than they let us, and left for the next one when they
//! fail.
//!
//! A request of alloy's provider: `transport` -> the endpoint in use, once `examine` has found the right chain and contract
//! there -> `endpoint` (its turn, within its budget) -> `wire` -> the answer. One that is late is asked of a second endpoint
//! too, one that fails of the next. Beside that `watchdog` leaves an endpoint whose head stands still.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use alloy::{
    primitives::B256,
    providers::{Provider, RootProvider},
    rpc::json_rpc::SerializedRequest,
};
use serde_json::value::RawValue;

use crate::{
    budget::Class,
    endpoint::{Disposition, Endpoint, SHORTEST_CHECK, Shown},
    error::{Error, FailureKind, Reason, Trouble, Unavailable},
    examine::{MOST_AHEAD, wall_clock},
    methods,
    options::{ClientProfile, Expected, Options},
    transport::Transport,
};

/// A chain, through whichever of its endpoints can be used. Clones are the same pool.
#[derive(Clone, Debug)]
pub struct Pool {
    inner: Arc<Inner>,
    providers: Arc<Providers>,
}

/// One for each class of requests: alloy's calls hold on to their provider weakly.
#[derive(Debug)]
struct Providers {
    by_method: RootProvider,
    by_class: [RootProvider; 3],
    others: [RootProvider; 3],
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) endpoints: Vec<Arc<Endpoint>>,
    /// The endpoint in use.
    current: AtomicUsize,
    pub(crate) profile: ClientProfile,
    pub(crate) expected: Expected,
    /// What the first endpoint said of what nobody wrote down.
    learned: Mutex<Learned>,
    /// What the last endpoint that was asked called itself.
    pub(crate) answered_chain_id: Mutex<Option<u64>>,
}

#[derive(Debug, Default)]
pub(crate) struct Learned {
    pub(crate) chain_id: Option<u64>,
    /// Hash of block 0.
    pub(crate) genesis: Option<B256>,
}

impl Inner {
    fn current(&self) -> usize {
        self.current.load(Ordering::Relaxed)
    }

    pub(crate) fn learned(&self) -> MutexGuard<'_, Learned> {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the endpoint in use; where it fails, the next one that is what it should be. Where all limit our requests, it
    /// waits for its turn.
    ///
    /// An error that the endpoint answers with is handed back as [`Error::Answer`].
    pub(crate) async fn ask(&self, class: Class, request: &SerializedRequest) -> Result<Box<RawValue>, Error> {
        let end = Instant::now() + self.profile.queue_timeout(class);
        let (mut troubles, mut elsewhere, mut backoff) = (0, false, Backoff::new(self.profile));
        let mut vain: Option<Unavailable> = None;
        let mut unheard: Option<Unavailable> = None;
        loop {
            let preferred = self.usable_again(elsewhere, &mut backoff).await?;
            if let Some(why) = vain.take_if(|why| why.is_of(preferred)) {
                return Err(Error::Unavailable(why));
            }
            let (endpoint, answer) = self.first_answer(preferred, class, end, request).await;
            match answer {
                Ok(answer) => return Ok(answer),
                // Another endpoint's word on a transaction that one before may have taken.
                Err(Disposition::Answer(error)) => return Err(unheard.map_or(error, Error::Unavailable)),
                Err(Disposition::Limited(_)) if Instant::now() < end => {}
                Err(Disposition::Limited(trouble) | Disposition::Late(trouble)) => {
                    return Err(Error::Unavailable(Unavailable::of(endpoint, trouble)));
                }
                Err(Disposition::Trouble(trouble)) => {
                    endpoint.set_trouble(Some(trouble.clone()));
                    troubles += 1;
                    let waited = trouble.failure == Some(FailureKind::TimedOut) && !self.profile.waits_again;
                    if waited {
                        vain = Some(Unavailable::of(endpoint, trouble.clone()));
                    }
                    if methods::changes_the_chain(request.method())
                        && trouble.failure.is_some_and(FailureKind::may_have_been_heard)
                    {
                        unheard.get_or_insert_with(|| Unavailable::of(endpoint, trouble.clone()));
                    }
                    // It may pass each check and fail at this: whoever is next is checked first.
                    let at_once = self.profile.retries == 0;
                    elsewhere = troubles >= 2 || !at_once;
                    if troubles < self.endpoints.len() + usize::from(at_once) {
                        continue;
                    }
                    let why = self.unavailable().or(endpoint, trouble);
                    if waited || !backoff.pause(&why).await {
                        return Err(Error::Unavailable(why));
                    }
                    troubles = 0;
                }
            }
        }
    }

    /// The answer of an endpoint; where it takes long, that of a second one may come first.
    async fn first_answer<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        class: Class,
        end: Instant,
        request: &SerializedRequest,
    ) -> (&'a Endpoint, Result<Box<RawValue>, Disposition>) {
        let asked = endpoint.ask(class, end, request);
        let mut spares = self.endpoints.iter().map(Arc::as_ref);
        let spare = spares.find(|e| !std::ptr::eq(*e, endpoint) && e.trouble().is_none());
        let Some(spare) = spare.filter(|_| !methods::is_asked_of_one(request.method())) else {
            return (endpoint, asked.await);
        };
        let mut asked = std::pin::pin!(asked);
        if let Ok(answer) = tokio::time::timeout(self.profile.hedge_after, &mut asked).await {
            return (endpoint, answer);
        }
        // A second request must not cost the spare one what its own turn is kept for.
        if !spare.try_take(class) {
            return (endpoint, asked.await);
        }
        let mut second = std::pin::pin!(spare.ask_now(request));
        tokio::select! {
            answer = &mut asked => (endpoint, answer),
            answer = &mut second => match answer {
                Ok(answer) => (spare, Ok(answer)),
                // The first one is in use, and may still answer.
                Err(_) => (endpoint, asked.await),
            },
        }
    }

    /// Asks the endpoints that are not in use, one after the other; the first that has a result.
    pub(crate) async fn second_opinion(
        &self,
        class: Class,
        request: &SerializedRequest,
    ) -> Result<Box<RawValue>, Error> {
        let current = self.current();
        for (index, endpoint) in self.endpoints.iter().enumerate() {
            let good = index != current && (endpoint.trouble().is_none() || self.check(endpoint).await);
            if good
                && let Ok(answer) =
                    endpoint.ask(class, Instant::now() + self.profile.queue_timeout(class), request).await
            {
                return Ok(answer);
            }
        }
        Err(Error::Unavailable(Unavailable::default()))
    }

    fn unavailable(&self) -> Unavailable {
        Unavailable(self.endpoints.iter().filter_map(|e| Some((e.label.clone(), e.trouble()?))).collect())
    }

    /// The endpoint in use; where it can't be used or has enough of us, the next one that is better. Where none is known to
    /// be well they are checked in turn, from the one in use on or from the next one.
    async fn usable(&self, elsewhere: bool) -> Result<&Endpoint, Unavailable> {
        let count = self.endpoints.len();
        let current = self.current() + usize::from(elsewhere);
        let in_turn = || {
            (0..count).filter_map(move |step| {
                let index = (current + step) % count;
                Some((index, self.endpoints.get(index)?))
            })
        };
        let well = |endpoint: &Endpoint| endpoint.trouble().is_none();
        let free = in_turn().find(|(_, endpoint)| well(endpoint) && !endpoint.is_paused());
        if let Some((index, endpoint)) = free.or_else(|| in_turn().find(|(_, endpoint)| well(endpoint))) {
            return Ok(self.switch(index, endpoint));
        }
        for (index, endpoint) in in_turn() {
            if self.check(endpoint).await {
                return Ok(self.switch(index, endpoint));
            }
        }
        Err(self.unavailable())
    }

    /// The same; where that may change in a moment, it waits for it.
    async fn usable_again(&self, elsewhere: bool, backoff: &mut Backoff) -> Result<&Endpoint, Error> {
        loop {
            match self.usable(elsewhere).await {
                Ok(endpoint) => return Ok(endpoint),
                Err(why) if backoff.pause(&why).await => {}
                Err(why) => return Err(Error::Unavailable(why)),
            }
        }
    }

    fn switch<'a>(&self, index: usize, endpoint: &'a Endpoint) -> &'a Endpoint {
        if self.current.swap(index, Ordering::Relaxed) != index {
            tracing::info!(endpoint = endpoint.label, "using another endpoint");
        }
        endpoint
    }

    fn others(&self) -> impl Iterator<Item = (&Endpoint, Shown)> {
        let current = self.current();
        let others = self.endpoints.iter().enumerate().filter(move |(index, _)| *index != current);
        others.filter_map(|(_, endpoint)| Some((endpoint.as_ref(), endpoint.shown()?)))
    }
}

/// Tries again what may pass, a few times and ever later.
#[derive(Debug)]
struct Backoff {
    left: u32,
    pause: Duration,
}

impl Backoff {
    const fn new(profile: ClientProfile) -> Self {
        Self { left: profile.retries, pause: SHORTEST_CHECK }
    }

    /// Waits until it is worth trying again; false where it is not.
    async fn pause(&mut self, why: &Unavailable) -> bool {
        if self.left == 0 || !why.passes() {
            return false;
        }
        tokio::time::sleep(self.pause).await;
        (self.left, self.pause) = (self.left - 1, self.pause * 2);
        true
    }
}

impl Pool {
    /// Asks nobody yet.
    ///
    /// # Errors
    /// Where no HTTP client can be made.
    pub fn new(options: Options) -> Result<Self, reqwest::Error> {
        let Options { endpoints, expected, profile, recorder } = options;
        let http = reqwest::Client::builder()
            .connect_timeout(profile.connect_timeout)
            .timeout(profile.request_timeout)
            // Answers are bound to the URL that a person wrote down.
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let endpoint = |of| Arc::new(Endpoint::new(of, profile.limits, http.clone(), Arc::clone(&recorder)));
        let inner = Arc::new(Inner {
            endpoints: endpoints.into_iter().map(endpoint).collect(),
            current: AtomicUsize::new(0),
            profile,
            expected,
            learned: Mutex::default(),
            answered_chain_id: Mutex::default(),
        });
        let providers = Providers {
            by_method: Transport::pool(Arc::clone(&inner), None).provider(),
            by_class: Class::ALL.map(|class| Transport::pool(Arc::clone(&inner), Some(class)).provider()),
            others: Class::ALL.map(|class| Transport::others(Arc::clone(&inner), class).provider()),
        };
        Ok(Self { inner, providers: Arc::new(providers) })
    }

    /// Finds an endpoint that can be used. The chain id of this and every other that is used from here on.
    ///
    /// # Errors
    /// Where there is none.
    pub async fn ready(&self) -> Result<u64, Error> {
        self.inner.usable_again(false, &mut Backoff::new(self.inner.profile)).await?;
        let learned = self.inner.learned().chain_id;
        self.inner.expected.chain_id.or(learned).ok_or_else(|| Error::Unavailable(self.unavailable()))
    }

    /// Asks the endpoint in use, in the class that a request's method has.
    pub fn provider(&self) -> &RootProvider {
        &self.providers.by_method
    }

    /// The same in a class that the caller knows better.
    pub fn provider_as(&self, class: Class) -> &RootProvider {
        &self.providers.by_class[class.place()]
    }

    /// Asks the endpoints that are not in use, one after the other; the first that has a result.
    pub fn second_opinion(&self, class: Class) -> &RootProvider {
        &self.providers.others[class.place()]
    }

    /// What the endpoint in use answered to a method can't be right.
    pub fn malformed(&self, method: &'static str, message: impl Into<String>) -> Error {
        Error::Malformed { endpoint: self.endpoint(), method: method.into(), message: message.into() }
    }

    /// Leaves the endpoint in use for the next one, if there is another: it answers, but with what can't be believed.
    pub fn demote(&self, message: &str) {
        let current = self.inner.current();
        if let Some(endpoint) = self.inner.endpoints.get(current) {
            endpoint.set_trouble(Some(Trouble::new(Reason::HeadStalled, message)));
        }
        let next = (current + 1).checked_rem(self.inner.endpoints.len()).unwrap_or(0);
        self.inner.current.store(next, Ordering::Relaxed);
    }

    /// Looks after the endpoints that are not in use, and goes back to the preferred one, if it is well again and has come
    /// as far as the one in use.
    pub async fn probe_spares(&self, head: u64) {
        let current = self.inner.current();
        let spares = self.inner.endpoints.iter().enumerate().filter(|(index, _)| *index != current);
        for (index, spare) in spares {
            if self.inner.check(spare).await && index == 0 && !spare.is_paused() {
                self.prefer(spare, head).await;
            }
        }
    }

    async fn prefer(&self, first: &Arc<Endpoint>, head: u64) {
        let class = Class::Rest;
        // One that limits our requests is not preferred, and nobody waits for it.
        let first = Transport::one(Arc::clone(first), class, Duration::ZERO).provider();
        if first.get_block_number().await.is_ok_and(|number| number >= head) {
            self.inner.current.store(0, Ordering::Relaxed);
        }
    }

    /// Whether another endpoint that can be used has shown a newer block than this.
    pub fn is_behind_others(&self, head: u64) -> bool {
        self.inner.others().any(|(endpoint, shown)| endpoint.trouble().is_none() && shown.number > head)
    }

    /// Whether the endpoint in use shows a block of the future, and another one that can be used doesn't.
    pub fn is_ahead_alone(&self, time: jiff::Timestamp) -> bool {
        let future = wall_clock().saturating_add(MOST_AHEAD);
        u64::try_from(time.as_second()).unwrap_or(0) > future
            && self.inner.others().any(|(endpoint, shown)| endpoint.trouble().is_none() && shown.time <= future)
    }

    /// No endpoint is well.
    pub fn is_away(&self) -> bool {
        self.inner.endpoints.iter().all(|endpoint| endpoint.trouble().is_some())
    }

    /// The endpoint in use, without secrets.
    pub fn endpoint(&self) -> String {
        let current = self.inner.current();
        self.inner.endpoints.get(current).map(|endpoint| endpoint.label.clone()).unwrap_or_default()
    }

    /// The chain id that the endpoint that was checked last answered with, right or wrong.
    pub fn answered_chain_id(&self) -> Option<u64> {
        *self.inner.answered_chain_id.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why no endpoint can be used.
    pub fn unavailable(&self) -> Unavailable {
        self.inner.unavailable()
    }

    /// A block was read from the endpoint in use: endpoints that are far behind it are not used.
    pub fn has_shown(&self, number: u64, time: jiff::Timestamp) {
        let current = self.inner.current();
        if let Some(endpoint) = self.inner.endpoints.get(current) {
            endpoint.has_shown(number, u64::try_from(time.as_second()).unwrap_or(0));
        }
    }
}
