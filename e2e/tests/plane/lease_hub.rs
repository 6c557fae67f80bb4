//! A network that is no EVM chain, for tests: a hub that leases GPUs. Orders are handed to it, and no log is read; a job is
//! called `lease/7#alpha`; it pays once, when a lease is closed; and it says itself how long it waits for a lease to be started.

mod lease;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use hawser_attestation::{MarketId, digest};
use hawser_market::AttestorTail;
use hawser_operator::network::{
    AccountId, ActionKey, ActionState, Advice, Backlog, Connection, Costs, Disconnected, GpuSeconds, Head, Job, JobId,
    Network, NetworkAction, NetworkError, NetworkStatus, Offer, OfferId, OfferTerms, Order, OrderHandler, OrderRef,
    Payment, Prepared, Profile, SpecError, Start, Subject, Token, TokenId, Units, Wallet,
};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;

use lease::{Lease, counted};

/// The hub.
#[derive(Clone)]
pub(crate) struct LeaseHub {
    ledger: Arc<Mutex<Ledger>>,
    changes: broadcast::Sender<ActionKey>,
    ordered: Arc<Notify>,
    /// Of the operator's own: whoever is only at the hub is never stopped.
    cancel: CancellationToken,
}

#[derive(Default)]
struct Ledger {
    offers: HashMap<OfferId, Offer>,
    leases: HashMap<JobId, Lease>,
    /// Not handed over yet.
    fresh: Vec<Order>,
    done: HashMap<ActionKey, ActionState>,
    /// Everything that was asked for, in order.
    asked: Vec<ActionKey>,
    credit: Units,
    refunded: Units,
    receipts: u64,
    /// Nobody answers at its counter.
    is_shut: bool,
}

impl Ledger {
    fn act(&mut self, action: &NetworkAction) -> Result<(), String> {
        match action {
            NetworkAction::SetOffer(post) => {
                let (id, settled, settled_amount) = (post.offer.clone(), GpuSeconds::ZERO, Units::ZERO);
                let (price, available, valid_until) = (post.price, post.available, post.valid_until);
                let offer = Offer { id: id.clone(), price, available, valid_until, settled, settled_amount };
                self.offers.insert(id, offer);
                Ok(())
            }
            NetworkAction::UpdateOffer { offer, price, available, valid_until } => {
                let known = self.offers.get_mut(offer).ok_or("no such offer")?;
                (known.price, known.available, known.valid_until) = (*price, *available, *valid_until);
                Ok(())
            }
            NetworkAction::Start { job, attestor } => {
                let lease = self.open(job)?.ok_or("the lease is closed")?;
                if lease.started.is_none() && Timestamp::now() > lease.placed + lease.patience {
                    return Err("the lease is void: it was not started in time".to_owned());
                }
                let at = lease.started.map_or_else(whole_now, |(at, _)| at);
                lease.started = Some((at, AttestorTail::of(*attestor)));
                Ok(())
            }
            NetworkAction::Settle { job, voucher, order } => {
                let subject = subject(job);
                let Some(lease) = self.open(job)? else { return Ok(()) };
                if lease.order.by != *order {
                    return Err("the order is another customer's".to_owned());
                }
                let used = counted(lease, voucher, subject)?;
                self.close(job, used);
                Ok(())
            }
            NetworkAction::Claim { .. } => Err("the hub pays once, when a lease is closed".to_owned()),
            NetworkAction::Decline { job, .. } | NetworkAction::Refund { job, .. } | NetworkAction::End { job, .. } => {
                if self.open(job)?.is_some() {
                    self.close(job, GpuSeconds::ZERO);
                }
                Ok(())
            }
            NetworkAction::Withdraw { .. } => {
                self.credit = Units::ZERO;
                Ok(())
            }
        }
    }

    /// None for one that is closed: whoever asks for that again is told that it is done.
    fn open(&mut self, job: &JobId) -> Result<Option<&mut Lease>, String> {
        let lease = self.leases.get_mut(job).ok_or_else(|| format!("there is no {job}"))?;
        Ok(Some(lease).filter(|lease| lease.closed.is_none()))
    }

    fn close(&mut self, job: &JobId, used: GpuSeconds) {
        let Some(lease) = self.leases.get_mut(job) else { return };
        let paid = lease.job().pays(used.0).min(lease.order.deposit);
        lease.closed = Some((used, paid));
        self.credit += paid;
        self.refunded += lease.order.deposit - paid;
    }
}

/// Evidence needs 32 bytes: a hash of the lease's name.
pub(crate) fn subject(job: &JobId) -> Subject {
    Subject { market: MarketId::default(), id: hawser_market::JobId(digest(job.as_str())) }
}

fn whole_now() -> Timestamp {
    Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default()
}

impl Default for LeaseHub {
    fn default() -> Self {
        let (ledger, changes) = (Arc::default(), broadcast::Sender::new(1024));
        Self { ledger, changes, ordered: Arc::default(), cancel: CancellationToken::new() }
    }
}

impl LeaseHub {
    /// As the operator starts it.
    pub(crate) fn prepared(&self) -> Prepared {
        let hub = self.clone();
        Prepared::new(wallet(), move |with: Start| -> Result<Arc<dyn Network>, SpecError> {
            Ok(Arc::new(Self { cancel: with.cancel, ..hub }))
        })
    }

    /// Of the only offer; none before it is posted.
    pub(crate) fn available(&self) -> Option<u16> {
        self.ledger().offers.values().next().map(|offer| offer.available)
    }

    /// A customer leases GPUs of the only offer; gives what they pay at once.
    pub(crate) fn order(
        &self,
        job: &str,
        (gpus, seconds): (u16, u32),
        patience: SignedDuration,
        spec: &str,
    ) -> Option<Units> {
        let mut ledger = self.ledger();
        let offer = ledger.offers.values().find(|offer| offer.available >= gpus)?.clone();
        let by = OrderRef::new(Some("acme@hub-2"), Some("receipt-of-acme"));
        let gpu_seconds = u128::from(gpus) * u128::from(seconds);
        let order = Order {
            job: job.into(),
            resource_name: resource_name(&job.into()),
            offer: offer.id,
            by,
            gpus,
            price: offer.price,
            duration_seconds: seconds,
            deposit: Units::from((offer.price * gpu_seconds).div_ceil(3600)),
            spec: Some(spec.as_bytes().to_vec()),
            height: height(),
            tx: "hand to hand".into(),
        };
        let (deposit, placed) = (order.deposit, whole_now());
        let lease = Lease { order: order.clone(), placed, patience, started: None, closed: None };
        ledger.leases.insert(order.job.clone(), lease);
        ledger.fresh.push(order);
        self.ordered.notify_one();
        Some(deposit)
    }

    /// What was asked for of a job, in order and without repetitions.
    pub(crate) fn asked_of(&self, job: &JobId) -> Vec<ActionKey> {
        let mut asked: Vec<_> = self.ledger().asked.iter().filter(|key| key.job() == Some(job)).cloned().collect();
        asked.dedup();
        asked
    }

    /// What was asked for, and what came of it, for people.
    pub(crate) fn story(&self) -> String {
        let ledger = self.ledger();
        format!("the hub was asked for {:?}\nand did {:?}", ledger.asked, ledger.done)
    }

    /// From now on it can be seen, or can't.
    pub(crate) fn shut(&self, is_shut: bool) {
        self.ledger().is_shut = is_shut;
    }

    /// What it owes the provider, and what it gave back to customers.
    pub(crate) fn money(&self) -> (Units, Units) {
        let ledger = self.ledger();
        (ledger.credit, ledger.refunded)
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for LeaseHub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LeaseHub")
    }
}

fn wallet() -> Wallet {
    Wallet { account: "provider@hub-1".into(), sends_to: "the lease hub".to_owned() }
}

/// `lease/7#alpha` -> `lease-7-alpha`.
fn resource_name(job: &JobId) -> String {
    job.as_str().replace(|c: char| !c.is_ascii_alphanumeric(), "-")
}

fn height() -> u64 {
    u64::try_from(Timestamp::now().as_second()).unwrap_or_default()
}

impl Network for LeaseHub {
    fn profile(&self) -> Profile {
        let (depth, lapses_after) = (0, 0);
        Profile { depth, payment: Payment::OnceAtTheEnd, longest_card: 100_000, most_gpus: u16::MAX, lapses_after }
    }

    fn wallet(&self) -> Wallet {
        wallet()
    }

    fn status(&self) -> NetworkStatus {
        let connection = if self.ledger().is_shut {
            let (reason, message) = (Disconnected::Unreachable, "nobody answers at the counter".to_owned());
            Connection::Disconnected { reason, message }
        } else {
            Connection::Connected { endpoint: "the lease hub".to_owned() }
        };
        NetworkStatus {
            connection,
            identity: "the lease hub".to_owned(),
            advice: Advice { connection: "ask for its hours".to_owned(), ..Advice::default() },
            head: self.head(),
            time: self.time_now(),
            time_now: self.time_now(),
            wallet: AccountId::from("provider@hub-1"),
            balance: Some(Units::ONE),
            least_balance: Units::ZERO,
            coin_decimals: 0,
            fees_paid: Units::ZERO,
            signer_trouble: None,
            orders_trouble: None,
            cursor: None,
            withdrawn: std::collections::BTreeMap::new(),
            unread: Some(0),
            catching_up: None,
            confirmation_lag: None,
            clock_in_sync: Some(true),
            clock_skew: Some(0),
            fee_obstacle: None,
        }
    }

    fn head(&self) -> Option<Head> {
        Some(Head { height: height(), time: whole_now() })
    }

    fn time_now(&self) -> Option<Timestamp> {
        Some(Timestamp::now())
    }

    fn backlog(&self) -> Backlog {
        Backlog::default()
    }

    fn subject(&self, job: &JobId) -> Result<Subject, NetworkError> {
        Ok(subject(job))
    }

    fn offer_of(&self, job: &JobId) -> Option<OfferId> {
        self.ledger().leases.get(job).map(|lease| lease.order.offer.clone())
    }

    fn resource_name(&self, job: &JobId) -> String {
        resource_name(job)
    }

    fn offer_id(&self, terms: &OfferTerms) -> Result<OfferId, SpecError> {
        Ok(format!("{} for {}", terms.name, terms.product).into())
    }

    fn costs(&self, _: &Token) -> Costs {
        Costs::default()
    }

    fn job<'a>(&'a self, id: &'a JobId) -> BoxFuture<'a, Result<Job, NetworkError>> {
        let job = self.ledger().leases.get(id).map(Lease::job);
        Box::pin(async move { job.ok_or_else(|| NetworkError::Foreign(format!("the hub has no {id}"))) })
    }

    fn offer<'a>(&'a self, id: &'a OfferId) -> BoxFuture<'a, Result<Option<Offer>, NetworkError>> {
        let offer = self.ledger().offers.get(id).cloned();
        Box::pin(async move { Ok(offer) })
    }

    fn sunset(&self) -> BoxFuture<'_, Result<Option<Timestamp>, NetworkError>> {
        Box::pin(async { Ok(None) })
    }

    fn token<'a>(&'a self, id: &'a TokenId) -> BoxFuture<'a, Result<Token, NetworkError>> {
        Box::pin(async move { Ok(Token { id: id.clone(), symbol: "LEASE".to_owned(), decimals: 2 }) })
    }

    fn credit<'a>(&'a self, _: &'a TokenId) -> BoxFuture<'a, Result<Units, NetworkError>> {
        let credit = self.money().0;
        Box::pin(async move { Ok(credit) })
    }

    fn request(&self, action: NetworkAction) {
        let key = action.key();
        let mut ledger = self.ledger();
        ledger.asked.push(key.clone());
        let state = match ledger.act(&action) {
            Ok(()) => {
                ledger.receipts += 1;
                ActionState::Mined { tx: format!("receipt {}", ledger.receipts).into(), block: height() }
            }
            Err(error) => ActionState::Refused { error },
        };
        ledger.done.insert(key.clone(), state);
        drop(ledger);
        // Nobody may be listening.
        let _ = self.changes.send(key);
    }

    fn action(&self, key: &ActionKey) -> Option<ActionState> {
        self.ledger().done.get(key).cloned()
    }

    fn actions_changed(&self) -> broadcast::Receiver<ActionKey> {
        self.changes.subscribe()
    }

    fn watch_orders(self: Arc<Self>, handler: OrderHandler) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            while !self.cancel.is_cancelled() {
                let fresh = std::mem::take(&mut self.ledger().fresh);
                if !fresh.is_empty() && handler(fresh.clone()).await.is_err() {
                    self.ledger().fresh.splice(0..0, fresh);
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    continue;
                }
                tokio::select! {
                    () = self.ordered.notified() => {}
                    () = self.cancel.cancelled() => {}
                }
            }
        })
    }

    fn stopped(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}
