//! An EVM chain with a `ComputeMarket` on it.
//!
//! Inside, everything is typed as the chain has it. `border` makes a [`Network`](super::Network) of it: there, and nowhere
//! else, the operator's opaque names become ids, hashes and addresses, and come back as texts.
//!
//! Three ways lead through it. Orders: `head` (a new block) -> `orders` (its logs, once it is deep enough) -> `specs` -> whoever
//! watches. Questions: `facts` (what is known and how old that is) -> `read` (many with one request). Actions: `queue` ->
//! `sender` (batch, simulate, sign, broadcast, confirm; its page is at the head of that folder) -> `action` (how far it has
//! come).

mod action;
mod border;
mod calls;
mod checkpoint;
mod confirmed;
mod doubtful;
mod error;
mod facts;
mod gas_price;
mod head;
mod headers;
mod hints;
mod holes;
mod log_cursor;
mod logs;
mod names;
mod order;
mod orders;
mod ours;
mod queue;
mod read;
mod refusal;
mod sender;
mod spec;
mod specs;
mod status;
mod wallet;
mod withdrawal_totals;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use alloy::{
    primitives::{Address, U256},
    sol_types::Eip712Domain,
};
use hawser_evm::{ClientProfile, EndpointOptions, Expected, Names, Options, Pool};
use hawser_market::{JobId, OfferId, eip712_domain};
use jiff::Timestamp;
use tokio::sync::{Notify, broadcast, watch};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::fence::Fence;
use crate::network::{self, RequestCounter, Uncounted};
use calls::CountRequests;
use facts::Facts;
use headers::Headers;
use ours::Ours;
use queue::ActionQueue;

pub use super::{Backlog, Connection, Disconnected, SpecError};
pub use action::{Action, ActionKey, ActionState, Claim, OfferPost};
pub use border::prepare;
pub use checkpoint::{Checkpoint, Known, Withdrawn};
pub use error::EvmError;
pub use gas_price::WeiPerGas;
pub use hawser_evm::{Block, Head, StallLimit};
pub use hawser_market::{GpuSeconds, Job, JobStatus, Offer, OfferTerms, OrderRef, Token};
pub use order::{Cursor, EvmOrder};
pub use spec::{EvmSpec, RpcHeaders};
pub(crate) use spec::{address, http_url};
pub use status::EvmStatus;
pub use wallet::{AwsKeys, KmsKey, KmsSpec, RemoteSigner, Wallet, WalletError, WalletKey};

/// Changes of actions that a slow listener may miss; then it looks at all of them.
const ACTION_CHANGES: usize = 4096;

/// A provider's credit changes by claims and withdrawals; it is read no more often than this.
const CREDIT_EVERY: Duration = Duration::from_secs(12);
const SUNSET_EVERY: Duration = Duration::from_hours(1);

/// A network in use: one per `DepinNetwork`. Clones are the same network.
#[derive(Clone)]
pub struct EvmNetwork(Arc<Inner>);

struct Inner {
    spec: EvmSpec,
    pool: Pool,
    wallet: Wallet,
    observed: watch::Sender<EvmStatus>,
    tokens: Mutex<HashMap<Address, Token>>,
    credits: Mutex<HashMap<Address, (Instant, U256)>>,
    /// The last second at which the market takes an order, and when that was read.
    sunset: Mutex<Option<(Instant, Option<Timestamp>)>>,
    queue: Mutex<ActionQueue>,
    headers: Mutex<Headers>,
    /// When numbers after one that the endpoint did not give were tried last, and none of them was given.
    tried_in_vain: Mutex<Option<Instant>>,
    ours: Mutex<Ours>,
    facts: Facts,
    /// Wakes the sender.
    requested: Notify,
    /// Wakes the head's poller: a block with what was sent is awaited.
    sent: Notify,
    changes: broadcast::Sender<network::ActionKey>,
    cancel: CancellationToken,
    /// Nothing is sent without the lease.
    fence: Fence,
    /// Set once nothing of the network runs any more.
    stopped: CancellationToken,
}

/// Runs the head's poller for as long as the sender needs it: the sender outlives `cancel` by what is in flight.
async fn live(network: Arc<Inner>) {
    let stop_head = CancellationToken::new();
    let head = head::run(Arc::clone(&network), stop_head.clone());
    let sender = async {
        sender::run(Arc::clone(&network)).await;
        stop_head.cancel();
    };
    tokio::join!(head, sender);
    network.stopped.cancel();
}

impl Inner {
    fn domain(&self) -> Eip712Domain {
        eip712_domain(self.spec.chain_id, self.spec.market)
    }

    fn set_action(&self, action: &Action, state: ActionState) {
        if let (Some(job), false) = (action.key().job(), matches!(state, ActionState::Queued { .. })) {
            self.facts.touch(job);
        }
        if let (Action::Withdraw { .. } | Action::Claim(_) | Action::Settle { .. }, false) =
            (action, matches!(state, ActionState::Queued { .. }))
        {
            lock(&self.credits).clear();
        }
        if lock(&self.queue).set(action, state, Instant::now()) {
            // Nobody may be listening.
            let _ = self.changes.send(names::of_key(&action.key()));
        }
    }

    fn set_signer_trouble(&self, trouble: Option<WalletError>) {
        self.observed.send_if_modified(|observed| {
            let changed = observed.signer_trouble != trouble;
            observed.signer_trouble = trouble;
            changed
        });
    }
}

impl EvmNetwork {
    /// Connects in the background and begins to send what is asked for, until `cancel`. Returns at once:
    /// [`observed`](Self::observed) says how it goes, and goes on from the sums of the checkpoint.
    ///
    /// Only one operator may run this for a wallet: hold the lease. Needs a tokio runtime.
    pub fn start(
        spec: EvmSpec,
        wallet: Wallet,
        checkpoint: &Checkpoint,
        cancel: CancellationToken,
    ) -> Result<Self, SpecError> {
        Self::start_fenced(spec, wallet, checkpoint, cancel, Fence::always(), Arc::new(Uncounted))
    }

    /// The same among replicas: nothing is sent unless `fence` is open. Requests are counted in `requests`.
    pub fn start_fenced(
        spec: EvmSpec,
        wallet: Wallet,
        checkpoint: &Checkpoint,
        cancel: CancellationToken,
        fence: Fence,
        requests: Arc<dyn RequestCounter>,
    ) -> Result<Self, SpecError> {
        let pool = Pool::new(options(&spec, requests)).map_err(|error| SpecError {
            field: "spec.evm.rpcUrls",
            value: error.to_string(),
            expected: "a list of endpoints for which an HTTP client can be made",
        })?;
        let observed = EvmStatus {
            connection: Connection::Disconnected {
                reason: Disconnected::Connecting,
                message: "not tried yet".to_owned(),
            },
            chain_id: None,
            head: None,
            wallet: wallet.address(),
            balance: None,
            signer_trouble: None,
            gas_spent: checkpoint.gas_spent,
            orders_trouble: None,
            cursor: checkpoint.cursor.and_then(|at| Some(Block { number: at.number, hash: at.hash? })),
            doubtful: checkpoint.doubtful.clone(),
            withdrawn: checkpoint.withdrawn.clone(),
            unread: None,
            confirmation_lag: None,
            block_time: None,
            clock_skew: None,
            fee_obstacle: None,
        };
        let ours = Ours::new(spec.market, spec.provider, checkpoint.known.clone());
        let network = Self(Arc::new(Inner {
            spec,
            pool,
            wallet,
            observed: watch::Sender::new(observed),
            tokens: Mutex::default(),
            credits: Mutex::default(),
            sunset: Mutex::default(),
            queue: Mutex::default(),
            headers: Mutex::default(),
            tried_in_vain: Mutex::default(),
            ours: Mutex::new(ours),
            facts: Facts::default(),
            requested: Notify::new(),
            sent: Notify::new(),
            changes: broadcast::Sender::new(ACTION_CHANGES),
            cancel,
            fence,
            stopped: CancellationToken::new(),
        }));
        // Every line that the sender and the head's poller log is of this network.
        tokio::spawn(live(Arc::clone(&network.0)).in_current_span());
        Ok(network)
    }

    /// Resolves after `cancel`, once what was in flight is mined or a few seconds have passed.
    pub async fn stopped(&self) {
        self.0.stopped.cancelled().await;
    }

    /// What was last seen of the network, and when it changes.
    pub fn observed(&self) -> watch::Receiver<EvmStatus> {
        self.0.observed.subscribe()
    }

    /// What the network was made from.
    pub fn spec(&self) -> &EvmSpec {
        &self.0.spec
    }

    /// Address of the operator's wallet.
    pub fn wallet(&self) -> Address {
        self.0.wallet.address()
    }

    /// EIP-712 domain of the market, in which vouchers are signed.
    pub fn domain(&self) -> Eip712Domain {
        self.0.domain()
    }

    /// A job as the market holds it; [`JobStatus::None`](JobStatus::None) where there is none. That of a running
    /// job may be some seconds old, unless something has happened to it since; any other is that of the newest block.
    /// Many who ask are answered with one request.
    pub async fn job(&self, id: JobId) -> Result<Job, EvmError> {
        self.0.fact(id).await
    }

    /// What waits to be sent or mined.
    pub fn backlog(&self) -> Backlog {
        lock(&self.0.queue).backlog(Instant::now())
    }

    /// An offer at the newest block, if it was ever posted.
    pub async fn offer(&self, id: OfferId) -> Result<Option<Offer>, EvmError> {
        lock(&self.0.ours).learn_offer(id);
        read::offer(&self.0.pool, self.0.spec.market, id).await
    }

    /// The last second at which the market takes an order, if its owner has announced one. That is announced a month ahead,
    /// so it is read seldom.
    pub async fn sunset(&self) -> Result<Option<Timestamp>, EvmError> {
        let known = lock(&self.0.sunset).filter(|(at, _)| at.elapsed() < SUNSET_EVERY);
        if let Some((_, sunset)) = known {
            return Ok(sunset);
        }
        let sunset = read::sunset(&self.0.pool, self.0.spec.market).await?;
        *lock(&self.0.sunset) = Some((Instant::now(), sunset));
        Ok(sunset)
    }

    /// An ERC-20 token; read once.
    pub async fn token(&self, address: Address) -> Result<Token, EvmError> {
        if let Some(token) = lock(&self.0.tokens).get(&address) {
            return Ok(token.clone());
        }
        lock(&self.0.ours).learn_token(address);
        let token = read::token(&self.0.pool, address).await?;
        lock(&self.0.tokens).insert(address, token.clone());
        Ok(token)
    }

    /// Token units that the provider has earned and not withdrawn.
    ///
    /// What was read a moment ago is not read again.
    pub async fn credit(&self, token: Address) -> Result<U256, EvmError> {
        let known = lock(&self.0.credits).get(&token).filter(|(at, _)| at.elapsed() < CREDIT_EVERY).copied();
        if let Some((_, credit)) = known {
            return Ok(credit);
        }
        let credit = read::credit(&self.0.pool, self.0.spec.market, self.0.spec.provider, token).await?;
        lock(&self.0.credits).insert(token, (Instant::now(), credit));
        Ok(credit)
    }

    /// Asks the wallet's one sender for an action. Asking again is harmless, and needed after a restart.
    pub fn request(&self, action: Action) {
        let key = action.key();
        lock(&self.0.ours).learn(&action);
        if lock(&self.0.queue).request(action, Instant::now()) {
            // Nobody may be listening.
            let _ = self.0.changes.send(names::of_key(&key));
            self.0.requested.notify_one();
        }
    }

    /// How far an action has come; none where it was not asked for, or is over since long.
    pub fn action(&self, key: &ActionKey) -> Option<ActionState> {
        lock(&self.0.queue).state(key)
    }

    /// Keys of actions whose state changed. A receiver that lags has missed some and looks at all.
    pub fn actions_changed(&self) -> broadcast::Receiver<network::ActionKey> {
        self.0.changes.subscribe()
    }

    /// Hands each order for the provider's offers to `handler`, oldest first, at least once, until the network is
    /// cancelled.
    ///
    /// Without a cursor it begins at the network's start block. Orders come as soon as they are deep enough. The cursor
    /// ([`EvmStatus::cursor`]) moves on only after `handler` took them; where `handler` fails, the same orders come again.
    /// After a reorg orders may come a second time.
    pub async fn watch_orders<S, F, E>(&self, from: Option<Cursor>, handler: S)
    where
        S: Fn(Vec<EvmOrder>) -> F + Send + Sync,
        F: Future<Output = Result<(), E>> + Send,
        E: fmt::Display + Send,
    {
        orders::run(&self.0, from, handler).await;
    }
}

impl fmt::Debug for EvmNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EvmNetwork")
            .field("chain_id", &self.0.spec.chain_id)
            .field("market", &self.0.spec.market)
            .field("wallet", &self.0.wallet)
            .finish_non_exhaustive()
    }
}

/// Where the chain is asked, and what an endpoint must serve.
fn options(spec: &EvmSpec, requests: Arc<dyn RequestCounter>) -> Options {
    let headers = |url| spec.rpc_headers.get(url).cloned().unwrap_or_default();
    let endpoints = spec.rpc_urls.iter().map(|url| EndpointOptions { url: url.clone(), headers: headers(url) });
    let names =
        Names { chain_id: "spec.evm.chainId", genesis: Some("spec.evm.genesisHash"), contract: "spec.evm.market" };
    let expected = Expected { chain_id: Some(spec.chain_id), genesis: spec.genesis, contract: spec.market, names };
    Options {
        recorder: Arc::new(CountRequests(requests)),
        ..Options::new(endpoints.collect(), expected, ClientProfile::SERVICE)
    }
}

/// A lock is held for a look or an insertion: none of them can leave the value half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
